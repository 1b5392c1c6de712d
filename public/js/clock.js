/** The clock of the page, for all that lasts. Pure but for reading it. */

/**
 * Milliseconds since the epoch as they were when the page was loaded, and going on evenly since:
 * a system clock that is set meanwhile shortens and lengthens nothing.
 *
 * @returns {number}
 */
export function now() {
  return performance.timeOrigin + performance.now();
}
