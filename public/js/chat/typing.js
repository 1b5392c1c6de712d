/** When to tell the others that the user is typing. Pure: time is an argument. */

/** Notices are repeated at most this often. */
const REPEAT_MS = 2_000;
/** A user who has typed nothing for this long has stopped. */
const IDLE_MS = 3_000;

/** The notices one conversation needs; each method says what to send, if anything. */
export class TypingNotices {
  #active = false;
  #sentAt = 0;
  #typedAt = 0;

  /**
   * The user changed the text.
   *
   * @param {boolean} isEmpty
   * @param {number} now
   * @returns {'typing' | 'stop_typing' | null}
   */
  typed(isEmpty, now) {
    if (isEmpty) return this.stop();
    this.#typedAt = now;
    if (this.#active && now - this.#sentAt < REPEAT_MS) return null;
    // A stop lifts no limit: one that is followed by more typing waits its turn too.
    if (!this.#active && this.#sentAt !== 0 && now - this.#sentAt < REPEAT_MS) return null;
    this.#active = true;
    this.#sentAt = now;
    return 'typing';
  }

  /**
   * Time has passed.
   *
   * @param {number} now
   * @returns {'stop_typing' | null}
   */
  idle(now) {
    return this.#active && now - this.#typedAt >= IDLE_MS ? this.stop() : null;
  }

  /**
   * The text was sent, or left.
   *
   * @returns {'stop_typing' | null}
   */
  stop() {
    if (!this.#active) return null;
    this.#active = false;
    return 'stop_typing';
  }
}
