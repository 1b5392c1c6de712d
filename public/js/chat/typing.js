/** When to tell the others that the user is typing. Pure: time is an argument. */

/** Notices are repeated at most this often. */
const REPEAT_MS = 2_000;
/** A user who has typed nothing for this long has stopped. */
const IDLE_MS = 3_000;

/** The notices one conversation needs; each method says what to send, if anything. */
export class TypingNotices {
  /** Whether the others believe that the user types. */
  #active = false;
  /** Whether the user typed since the last notice. */
  #wanted = false;
  #sentAt = -Infinity;
  #typedAt = -Infinity;

  /**
   * The user changed the text.
   *
   * @param {boolean} isEmpty
   * @param {number} now milliseconds
   * @returns {'typing' | 'stop_typing' | null}
   */
  typed(isEmpty, now) {
    if (isEmpty) return this.stop();
    this.#typedAt = now;
    this.#wanted = true;
    return this.#due(now);
  }

  /**
   * Time has passed. To be called now and then.
   *
   * @param {number} now milliseconds
   * @returns {'typing' | 'stop_typing' | null}
   */
  idle(now) {
    return now - this.#typedAt >= IDLE_MS ? this.stop() : this.#due(now);
  }

  /**
   * The text was sent, or left.
   *
   * @returns {'stop_typing' | null}
   */
  stop() {
    this.#wanted = false;
    if (!this.#active) return null;
    this.#active = false;
    return 'stop_typing';
  }

  /**
   * A stop lifts no limit: typing that goes on right after it waits its turn.
   *
   * @param {number} now
   * @returns {'typing' | null}
   */
  #due(now) {
    if (!this.#wanted || now - this.#sentAt < REPEAT_MS) return null;
    this.#wanted = false;
    this.#active = true;
    this.#sentAt = now;
    return 'typing';
  }
}
