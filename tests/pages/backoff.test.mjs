import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Backoff, backoffMs } from '../../public/js/backoff.js';

const ALMOST_ONE = 1 - Number.EPSILON;

test('the ceiling doubles with each failure', () => {
  const ceilings = [1, 2, 3, 4].map((failures) => backoffMs(failures, ALMOST_ONE));
  assert.deepEqual(ceilings, [500, 1000, 2000, 4000]);
});

test('the jitter spreads over the upper half', () => {
  assert.equal(backoffMs(3, 0), 1000);
  assert.equal(backoffMs(3, 0.5), 1500);
});

test('it never exceeds half a minute, however long the server is gone', () => {
  for (const failures of [7, 20, 5000, Number.MAX_SAFE_INTEGER]) {
    assert.equal(backoffMs(failures, ALMOST_ONE), 30_000);
    assert.equal(backoffMs(failures, 0), 15_000);
  }
});

test('a connection that lasted makes the next wait a first one again', () => {
  const backoff = new Backoff();
  const waits = [0, 0, 4_999, 5_000, 0].map((openMs) => backoff.ended({ openMs }, ALMOST_ONE));
  assert.deepEqual(waits, [500, 1000, 2000, 500, 1000]);
});

test('a server that found us too slow is left alone for longer, until it has us back', () => {
  const backoff = new Backoff();
  const tooSlow = { code: 1013, openMs: 60_000 };
  const unreachable = { code: 1006, openMs: 0 };
  const waits = [unreachable, tooSlow, unreachable, unreachable, unreachable].map((end) =>
    backoff.ended(end, ALMOST_ONE),
  );
  assert.deepEqual(waits, [500, 5_000, 10_000, 20_000, 30_000]);
  assert.equal(backoff.ended({ code: 1001, openMs: 60_000 }, ALMOST_ONE), 500);
});
