/** Exponential back-off with jitter. Pure: time and chance are arguments. */

/** The first ceiling after a connection that simply ended. */
const FIRST_CEILING_MS = 500;
/** The first ceiling after the server found us too slow: it has enough to do. */
const FIRST_CEILING_OVERLOADED_MS = 5_000;
const CEILING_MS_MAX = 30_000;
/** A connection that lasted this long was a good one: the next failure starts anew. */
const STABLE_MS = 5_000;
/** The close code of a client that did not take what was sent as fast as it came. */
const CLOSE_TRY_LATER = 1013;

/**
 * How long to wait before the next attempt. The ceiling doubles with each failure; the delay is
 * drawn from its upper half, so that clients cut off together do not come back together.
 *
 * @param {number} failures attempts that failed in a row, from 1
 * @param {number} random in [0, 1)
 * @param {number} [firstCeilingMs]
 * @returns {number} milliseconds
 */
export function backoffMs(failures, random, firstCeilingMs = FIRST_CEILING_MS) {
  // 2 ** 16 is far above the cap; the bound only keeps the power finite.
  const ceiling = Math.min(CEILING_MS_MAX, firstCeilingMs * 2 ** Math.min(failures - 1, 16));
  return Math.round(ceiling / 2 + (ceiling / 2) * random);
}

/** How long a client stays away, by how its connections ended so far. */
export class Backoff {
  #failures = 0;
  #firstCeilingMs = FIRST_CEILING_MS;

  /**
   * An attempt failed, or a connection ended.
   *
   * @param {{code?: number, openMs: number}} end its close code, and how long it was of use
   * @param {number} random in [0, 1)
   * @returns {number} milliseconds until the next attempt
   */
  ended({ code, openMs }, random) {
    if (openMs >= STABLE_MS) {
      this.#failures = 0;
      this.#firstCeilingMs = FIRST_CEILING_MS;
    }
    if (code === CLOSE_TRY_LATER) {
      this.#failures = 0;
      this.#firstCeilingMs = FIRST_CEILING_OVERLOADED_MS;
    }
    this.#failures += 1;
    return backoffMs(this.#failures, random, this.#firstCeilingMs);
  }
}
