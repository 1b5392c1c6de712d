import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TypingNotices } from '../../public/js/chat/typing.js';

test('typing is told at once and repeated every 2 s at most', () => {
  const typing = new TypingNotices();
  const sent = [];
  for (let now = 0; now <= 6000; now += 100) if (typing.typed(false, now)) sent.push(now);
  assert.deepEqual(sent, [0, 2000, 4000, 6000]);
});

test('3 s without a key is a stop, told once', () => {
  const typing = new TypingNotices();
  assert.equal(typing.typed(false, 0), 'typing');
  assert.equal(typing.idle(2999), null);
  assert.equal(typing.idle(3000), 'stop_typing');
  assert.equal(typing.idle(3500), null);
});

test('an emptied text is a stop', () => {
  const typing = new TypingNotices();
  assert.equal(typing.typed(true, 0), null);
  assert.equal(typing.typed(false, 10), 'typing');
  assert.equal(typing.typed(true, 20), 'stop_typing');
});

test('typing right after a message is told when its turn comes', () => {
  const typing = new TypingNotices();
  assert.equal(typing.typed(false, 0), 'typing');
  assert.equal(typing.stop(), 'stop_typing');
  assert.equal(typing.typed(false, 500), null);
  assert.equal(typing.idle(1999), null);
  assert.equal(typing.idle(2000), 'typing');
  assert.equal(typing.idle(2500), null);
});

test('a stop before its turn leaves nothing to tell', () => {
  const typing = new TypingNotices();
  typing.typed(false, 0);
  typing.stop();
  typing.typed(false, 500);
  assert.equal(typing.stop(), null);
  assert.equal(typing.idle(2500), null);
});
