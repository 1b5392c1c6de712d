/** Whether the other end of a connection still answers. Pure: time is an argument. */

/** A connection this long without a message is asked for one. */
const SILENCE_MS = 20_000;
/** A connection that answers nothing in this time is dead. */
const ANSWER_TIMEOUT_MS = 15_000;
/** Even hidden pages run their timers once a minute. One that did not was stopped as a whole. */
const STOPPED_MS = 90_000;

export class Heartbeat {
  #heardAt = -Infinity;
  /** @type {number | null} when the question was sent that nothing has come after */
  #askedAt = null;
  #checkedAt = -Infinity;

  /**
   * The connection is new.
   *
   * @param {number} now milliseconds
   */
  opened(now) {
    this.#heardAt = now;
    this.#askedAt = null;
    this.#checkedAt = now;
  }

  /**
   * A message came, whatever it says.
   *
   * @param {number} now milliseconds
   */
  heard(now) {
    this.#heardAt = now;
    this.#askedAt = null;
  }

  /**
   * A question was sent that the other end answers.
   *
   * @param {number} now milliseconds
   */
  asked(now) {
    this.#askedAt ??= now;
  }

  /**
   * To be called now and then, at least once a minute.
   *
   * @param {number} now milliseconds
   * @returns {'ask' | 'dead' | null} what to do about the connection
   */
  check(now) {
    const wasStopped = now - this.#checkedAt >= STOPPED_MS;
    this.#checkedAt = now;
    // What came while the page was stopped may not have been handed to it yet: it is asked anew.
    if (wasStopped) this.#askedAt = null;
    if (this.#askedAt !== null) return now - this.#askedAt >= ANSWER_TIMEOUT_MS ? 'dead' : null;
    return wasStopped || now - this.#heardAt >= SILENCE_MS ? 'ask' : null;
  }
}
