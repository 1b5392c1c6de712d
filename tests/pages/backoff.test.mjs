import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backoffMs } from '../../public/js/backoff.js';

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
