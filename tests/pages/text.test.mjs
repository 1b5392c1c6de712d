import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  badgeText,
  charCount,
  connectionText,
  dayText,
  rowsOf,
  sendable,
  typingText,
  unreadText,
} from '../../public/js/chat/text.js';

/** @type {(day: number, hour: number, minute?: number) => number} */
const at = (day, hour, minute = 0) => new Date(2024, 4, day, hour, minute).getTime();
/** @type {(id: string, author: string, at: number) => import('../../public/js/chat/conversation.js').Message} */
const message = (id, author, at) => ({
  kind: 'message',
  key: 'general',
  id,
  author,
  text: 'hello',
  at,
  mentions: [],
  reactions: [],
  reactable: true,
  delivery: 'sent',
});

test('days have names as long as those are clear', () => {
  const now = at(15, 9);
  assert.equal(dayText(at(15, 0), now), 'Today');
  assert.equal(dayText(at(14, 23, 59), now), 'Yesterday');
  assert.equal(
    dayText(at(9, 12), now),
    new Intl.DateTimeFormat(undefined, { weekday: 'long' }).format(at(9, 12)),
  );
  assert.match(dayText(at(8, 12), now), /2024/);
  assert.match(dayText(at(16, 12), now), /2024/);
});

test('a separator before each day, and messages of one author together', () => {
  const rows = rowsOf([
    message('1', 'bob', at(1, 23, 58)),
    message('2', 'bob', at(1, 23, 59)),
    message('3', 'bob', at(2, 0, 1)),
    message('4', 'alice', at(2, 0, 2)),
    message('5', 'alice', at(2, 0, 8)),
  ]);
  const shape = rows.map((row) =>
    row.kind === 'day' ? 'day' : `${row.entry.id}${row.grouped ? '+' : ''}`,
  );
  assert.deepEqual(shape, ['day', '1', '2+', 'day', '3', '4', '5']);
});

test('a coming or going ends a group', () => {
  /** @type {import('../../public/js/chat/conversation.js').Note} */
  const note = { kind: 'note', id: 'n', at: at(1, 8), text: 'x joined' };
  const rows = rowsOf([message('1', 'bob', at(1, 8)), note, message('2', 'bob', at(1, 8))]);
  assert.deepEqual(
    rows.map((row) => row.kind === 'entry' && row.grouped),
    [false, false, false, false],
  );
});

test('row keys are unique even when clocks go back over midnight', () => {
  const rows = rowsOf([
    message('1', 'bob', at(1, 12)),
    message('2', 'bob', at(2, 12)),
    message('3', 'bob', at(1, 13)),
    message('3', 'alice', at(2, 13)),
  ]);
  assert.equal(new Set(rows.map((row) => row.key)).size, rows.length);
});

test('what may be sent is cleaned the way the server wants it', () => {
  assert.equal(sendable('  a\tb\r\nc  '), 'a\tb\r\nc');
  assert.equal(sendable('a\u0000b\u0007\u007f\u0085c'), 'abc');
  assert.equal(sendable('a\ud800b'), 'a\ufffdb');
  assert.equal(sendable('👍'), '👍');
  assert.equal(sendable(' \n\u0000\t '), '');
});

test('characters are code points', () => {
  assert.equal(charCount('a👍é'), 3);
});

test('words for typing, badges and the connection', () => {
  assert.equal(typingText([]), '');
  assert.equal(typingText(['a']), 'a is typing…');
  assert.equal(typingText(['a', 'b']), 'a and b are typing…');
  assert.equal(typingText(['a', 'b', 'c']), '3 people are typing…');
  assert.deepEqual([0, 7, 99, 100].map(badgeText), ['', '7', '99', '99+']);
  assert.equal(
    connectionText({ phase: 'offline', retryAt: 4_200 }, 1_000),
    'Offline: retrying in 4 s',
  );
  assert.equal(
    connectionText({ phase: 'offline', retryAt: 4_200 }, 9_000),
    'Offline: retrying in 0 s',
  );
  assert.match(connectionText({ phase: 'offline', retryAt: null }, 0), /network/);
  assert.equal(
    connectionText({ phase: 'offline', retryAt: null, reason: 'no such luck' }, 0),
    'Disconnected: no such luck',
  );
  assert.deepEqual([1, 7].map(unreadText), ['1 unread message', '7 unread messages']);
});
