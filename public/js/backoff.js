/** Exponential back-off with jitter, as a pure function. */

const FIRST_DELAY_MS = 500;
const DELAY_MS_MAX = 30_000;

/**
 * How long to wait before the next attempt. The ceiling doubles with each failure; the delay is
 * drawn from its upper half, so that clients cut off together do not come back together.
 *
 * @param {number} failures attempts that failed in a row, from 1
 * @param {number} random in [0, 1)
 * @returns {number} milliseconds
 */
export function backoffMs(failures, random) {
  // 2 ** 16 is far above the cap; the bound only keeps the power finite.
  const ceiling = Math.min(DELAY_MS_MAX, FIRST_DELAY_MS * 2 ** Math.min(failures - 1, 16));
  return Math.round(ceiling / 2 + (ceiling / 2) * random);
}
