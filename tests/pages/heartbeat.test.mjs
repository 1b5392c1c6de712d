import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Heartbeat } from '../../public/js/heartbeat.js';

/**
 * Checks every `stepMs` and returns when there was something to do; a question is sent, not answered.
 *
 * @param {Heartbeat} heartbeat
 * @param {{from: number, to: number, stepMs: number}} times in milliseconds
 */
function run(heartbeat, { from, to, stepMs }) {
  const done = [];
  for (let now = from; now <= to; now += stepMs) {
    const what = heartbeat.check(now);
    if (what) done.push([what, now]);
    if (what === 'ask') heartbeat.asked(now);
    if (what === 'dead') break;
  }
  return done;
}

function opened() {
  const heartbeat = new Heartbeat();
  heartbeat.opened(0);
  return heartbeat;
}

test('silence is asked about, and no answer in 15 s is the end', () => {
  const done = run(opened(), { from: 0, to: 120_000, stepMs: 500 });
  assert.deepEqual(done, [
    ['ask', 20_000],
    ['dead', 35_000],
  ]);
});

test('any message is an answer, and as good as one before it is asked for', () => {
  const heartbeat = opened();
  run(heartbeat, { from: 0, to: 34_000, stepMs: 500 });
  heartbeat.heard(34_000);
  assert.deepEqual(run(heartbeat, { from: 34_500, to: 53_500, stepMs: 500 }), []);
  heartbeat.heard(53_900);
  assert.deepEqual(run(heartbeat, { from: 54_000, to: 73_500, stepMs: 500 }), []);
  assert.deepEqual(run(heartbeat, { from: 74_000, to: 74_000, stepMs: 500 }), [['ask', 74_000]]);
});

test('asking once more gives no more time', () => {
  const heartbeat = opened();
  heartbeat.asked(1_000);
  heartbeat.asked(10_000);
  assert.equal(heartbeat.check(15_999), null);
  assert.equal(heartbeat.check(16_000), 'dead');
});

test('a hidden page, whose timers run once a minute, notices too', () => {
  const done = run(opened(), { from: 60_000, to: 600_000, stepMs: 60_000 });
  assert.deepEqual(done, [
    ['ask', 60_000],
    ['dead', 120_000],
  ]);
});

test('after it was stopped as a whole, the page asks before it judges', () => {
  const heartbeat = opened();
  heartbeat.asked(0);
  assert.equal(heartbeat.check(500), null);
  const hours = 8 * 3_600_000;
  assert.deepEqual(run(heartbeat, { from: hours, to: hours + 60_000, stepMs: 500 }), [
    ['ask', hours],
    ['dead', hours + 15_000],
  ]);
});

test('a new connection owes nothing for the one before', () => {
  const heartbeat = opened();
  run(heartbeat, { from: 0, to: 35_000, stepMs: 500 });
  heartbeat.opened(36_000);
  assert.deepEqual(run(heartbeat, { from: 36_000, to: 55_500, stepMs: 500 }), []);
});
