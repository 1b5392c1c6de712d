import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ENTRIES_MAX, GENERAL, mentioning } from '../../public/js/chat/conversation.js';
import {
  initialState,
  knownNames,
  queued,
  reduce,
  unreadTotal,
} from '../../public/js/chat/state.js';

const NOW = 1_714_564_800_000;
const BOB = 'private:bob';

/**
 * @typedef {import('../../public/js/chat/state.js').Event} Event
 * @typedef {import('../../public/js/chat/state.js').State} State
 */

/** @type {(events: Event[], state?: State) => State} */
const run = (events, state = initialState('me')) => events.reduce(reduce, state);
/** @type {(message: any, at?: number) => Event} */
const got = (message, at = NOW) => ({ type: 'received', message, at });
/** @type {(id: string, username: string, message?: string, more?: object) => Event} */
const said = (id, username, message = 'hello', more = {}) =>
  got({ type: 'message', id, username, message, timestamp: NOW / 1000, mentions: [], ...more });
/** @type {(id: string, key?: string) => Event} */
const composed = (id, key = GENERAL) => ({
  type: 'composed',
  id,
  key,
  text: `text ${id}`,
  mentions: [],
  at: NOW,
});
/** @type {(id: string) => Event} */
const dispatched = (id) => ({ type: 'dispatched', id, at: NOW });
/** @type {Event} */
const online = { type: 'connection', connection: { phase: 'online' } };
/** @type {Event} */
const offline = { type: 'connection', connection: { phase: 'offline', retryAt: null } };
/**
 * A conversation that the state must have.
 *
 * @type {(state: State, key?: string) => import('../../public/js/chat/conversation.js').Conversation}
 */
const conversation = (state, key = GENERAL) => {
  const found = state.conversations.get(key);
  assert.ok(found, key);
  return found;
};
/**
 * Entries of a conversation: messages or notes, as each test expects.
 *
 * @type {(state: State, key?: string) => any[]}
 */
const entries = (state, key = GENERAL) => state.conversations.get(key)?.entries ?? [];
/** @type {(state: State, key?: string) => string[]} */
const texts = (state, key) => entries(state, key).map((entry) => entry.text);
/** @type {(...names: string[]) => Event} */
const users = (...names) =>
  got({ type: 'users', users: names.map((username) => ({ username, isOnline: true })) });

test('a state is never changed in place', () => {
  /** @type {(value: any) => any} */
  const freeze = (value) => {
    if (value && typeof value === 'object' && !Object.isFrozen(value)) {
      Object.freeze(value);
      const inner = value instanceof Map ? value.values() : Object.values(value);
      for (const part of inner) freeze(part);
    }
    return value;
  };
  const reaction = {
    type: 'reaction',
    username: 'bob',
    messageId: 'a',
    emoji: '👍',
    action: 'add',
  };
  /** @type {Event[]} */
  const events = [
    online,
    users('me', 'bob'),
    said('a', 'bob'),
    composed('b'),
    dispatched('b'),
    said('b', 'me'),
    got(reaction),
    got({ ...reaction, action: 'remove' }),
    got({ type: 'typing', username: 'bob' }),
    { type: 'ticked', at: NOW + 60_000 },
    { type: 'opened', key: BOB },
    composed('c', BOB),
    dispatched('c'),
    got({ type: 'error', code: 'no_such_user', message: 'gone', id: 'c' }),
    { type: 'retried', id: 'c' },
    { type: 'discarded', id: 'c' },
    got({ type: 'leave', username: 'bob' }),
    offline,
  ];
  let state = freeze(initialState('me'));
  for (const event of events) state = freeze(reduce(state, event));
  assert.deepEqual(state.online, ['me']);
});

test('the online list follows users, join and leave', () => {
  let state = run([users('zoe', 'me'), got({ type: 'join', username: 'bob', timestamp: 1 })]);
  assert.deepEqual(state.online, ['bob', 'me', 'zoe']);
  state = run([got({ type: 'leave', username: 'zoe', timestamp: 2 })], state);
  assert.deepEqual(state.online, ['bob', 'me']);
  assert.deepEqual(texts(state), ['bob joined', 'zoe left']);
});

test('a user who comes and goes takes one line', () => {
  const flap = [got({ type: 'leave', username: 'bob' }), got({ type: 'join', username: 'bob' })];
  assert.deepEqual(texts(run([...flap, ...flap, ...flap])), ['bob joined']);
});

test('an own group message is confirmed by its echo and takes the place the server gave it', () => {
  let state = run([online, composed('x')]);
  assert.deepEqual(
    queued(state).map(({ id }) => id),
    ['x'],
  );
  state = run([dispatched('x'), said('y', 'bob', 'first'), said('x', 'me', 'text x')], state);
  assert.deepEqual(texts(state), ['first', 'text x']);
  assert.deepEqual(state.pending, []);
  assert.equal(unreadTotal(state), 0);
});

test('somebody else cannot confirm my message by its id', () => {
  const state = run([online, composed('x'), dispatched('x'), said('x', 'mallory', 'mine now')]);
  assert.equal(state.pending.length, 1);
  assert.deepEqual(texts(run([said('x', 'me', 'text x')], state)), ['mine now', 'text x']);
});

test('a message that comes twice is shown once', () => {
  assert.equal(entries(run([said('a', 'bob'), said('a', 'bob')])).length, 1);
});

test('what was not confirmed is sent again after a reconnect, three times at most', () => {
  let state = run([online, composed('1'), dispatched('1'), composed('2')]);
  for (let attempt = 1; attempt <= 2; attempt += 1) {
    state = run([offline], state);
    assert.deepEqual(
      queued(state).map(({ id }) => id),
      ['1', '2'],
    );
    state = run([online, dispatched('1')], state);
  }
  state = run([offline], state);
  assert.deepEqual(
    state.pending.map(({ delivery }) => delivery),
    ['failed', 'queued'],
  );
  state = run([{ type: 'retried', id: '1' }], state);
  assert.deepEqual(
    queued(state).map(({ id }) => id),
    ['1', '2'],
  );
  assert.deepEqual(
    run([{ type: 'discarded', id: '1' }], state).pending.map(({ id }) => id),
    ['2'],
  );
});

test('a private message is shown locally once it is handed over', () => {
  let state = run([{ type: 'opened', key: BOB }, composed('p', BOB)]);
  assert.deepEqual(texts(state, BOB), []);
  state = run([online, dispatched('p')], state);
  assert.deepEqual(texts(state, BOB), ['text p']);
  assert.deepEqual(state.pending, []);
});

test('a private message has arrived when something behind it is answered', () => {
  let state = run([online, composed('p', BOB), composed('q', BOB), dispatched('p')]);
  const deliveries = () => entries(state, BOB).map(({ id, delivery }) => [id, delivery]);
  assert.deepEqual(deliveries(), [['p', 'sending']]);
  state = run([{ type: 'arrived', ids: ['p', 'other'] }, dispatched('q')], state);
  assert.deepEqual(deliveries(), [
    ['p', 'sent'],
    ['q', 'sending'],
  ]);
});

test('a private message on its way when the line is lost is its author’s to send again', () => {
  let state = run([online, composed('p', BOB), dispatched('p'), { type: 'arrived', ids: ['p'] }]);
  state = run([composed('q', BOB), dispatched('q'), offline], state);
  assert.deepEqual(texts(state, BOB), ['text p']);
  assert.deepEqual(
    state.pending.map(({ id, delivery }) => [id, delivery]),
    [['q', 'unsure']],
  );
  assert.deepEqual(queued(run([online], state)), [], 'nobody could tell the second from the first');
  state = run([online, { type: 'retried', id: 'q' }], state);
  assert.deepEqual(
    queued(state).map(({ id }) => id),
    ['q'],
  );
});

test('what waits goes out under the name the server gives', () => {
  let state = run([online, composed('x')], initialState());
  assert.equal(state.pending[0].author, '');
  /** @type {Event} */
  const identified = { type: 'identified', username: 'me' };
  state = run([identified, dispatched('x')], state);
  assert.equal(state.me, 'me');
  assert.equal(state.pending[0].author, 'me');
  assert.equal(run([identified], state), state);
});

test('an echo under a new name confirms once the name is known', () => {
  let state = run([online, composed('x'), dispatched('x'), said('x', 'me-too', 'text x')]);
  assert.equal(state.pending.length, 1, 'it could be anybody');
  state = run([{ type: 'identified', username: 'me-too' }], state);
  assert.deepEqual(state.pending, []);
  assert.deepEqual(texts(state), ['text x']);
});

test('what was kept comes back before what was written since, and what is old is asked about', () => {
  const before = run([
    composed('1', BOB),
    composed('2'),
    online,
    dispatched('2'),
    composed('3'),
    dispatched('3'),
    got({ type: 'error', code: 'invalid', message: 'No', id: '3' }),
  ]);
  const kept = { active: BOB, keys: [BOB, GENERAL], pending: before.pending };
  const back = (/** @type {number} */ at) => run([composed('4'), { type: 'restored', kept, at }]);
  let state = back(NOW + 3_600_000);
  assert.equal(state.active, BOB);
  assert.ok(state.conversations.has(BOB));
  const deliveries = () => state.pending.map(({ id, delivery }) => [id, delivery]);
  const rest = [
    ['3', 'failed'],
    ['4', 'queued'],
  ];
  assert.deepEqual(deliveries(), [['1', 'queued'], ['2', 'queued'], ...rest]);
  state = back(NOW + 20 * 3_600_000);
  assert.deepEqual(deliveries(), [['1', 'unsure'], ['2', 'unsure'], ...rest]);
});

test('a notification leads to the newest message it can mean', () => {
  const state = run([
    said('1', 'bob', 'hi @me'),
    said('2', 'bob', 'hi @me'),
    said('3', 'eve', 'hi @me'),
    said('4', 'bob', 'hi @me', { timestamp: NOW / 1000 + 1 }),
  ]);
  const room = conversation(state);
  const notification = { from: 'bob', message: 'hi @me', timestamp: NOW / 1000 };
  assert.equal(mentioning(room, notification)?.id, '2');
  assert.equal(mentioning(room, { ...notification, message: 'bye @me' }), null);
});

test('a refused message goes back to its author with the reason', () => {
  const refusal = (/** @type {string} */ id) =>
    got({ type: 'error', code: 'rate_limited', message: 'Slow down', id, retryAfter: 3 });
  let state = run([online, composed('g'), dispatched('g'), refusal('g')]);
  assert.deepEqual(
    state.pending.map(({ delivery, reason }) => [delivery, reason]),
    [['failed', 'Slow down']],
  );
  state = run([online, composed('p', BOB), dispatched('p'), refusal('p')]);
  assert.deepEqual(texts(state, BOB), []);
  assert.deepEqual(
    state.pending.map(({ id, delivery }) => [id, delivery]),
    [['p', 'failed']],
  );
  assert.deepEqual(run([refusal('unknown')]).pending, []);
});

test('unread counts only what the user cannot see', () => {
  const secret = got({ type: 'private_message', from: 'bob', message: 'psst', timestamp: 1 });
  let state = run([said('1', 'bob'), secret, secret]);
  assert.equal(conversation(state, BOB).unread, 2);
  assert.equal(unreadTotal(state), 2);
  state = run([{ type: 'opened', key: BOB }, said('2', 'bob')], state);
  assert.deepEqual(
    [...state.conversations.values()].map(({ unread }) => unread),
    [1, 0],
  );
  state = run(
    [{ type: 'visible', visible: false }, secret, { type: 'visible', visible: true }],
    state,
  );
  assert.deepEqual(
    [...state.conversations.values()].map(({ unread }) => unread),
    [1, 0],
  );
});

test('typing ends with a stop, a message, a departure, time, or the connection', () => {
  const typing = got({ type: 'typing', username: 'bob' });
  const names = (/** @type {State} */ state) => Object.keys(conversation(state).typing);
  assert.deepEqual(names(run([typing])), ['bob']);
  /** @type {Event[]} */
  const ends = [
    got({ type: 'stop_typing', username: 'bob' }),
    said('1', 'bob'),
    got({ type: 'leave', username: 'bob' }),
    { type: 'ticked', at: NOW + 6_000 },
    offline,
  ];
  for (const end of ends) assert.deepEqual(names(run([typing, end])), [], end.type);
  assert.deepEqual(names(run([typing, { type: 'ticked', at: NOW + 5_999 }])), ['bob']);
});

test('somebody who merely types opens no conversation', () => {
  const typing = got({ type: 'private_typing', from: 'bob' });
  assert.equal(run([typing]).conversations.has(BOB), false);
  const state = run([{ type: 'opened', key: BOB }, typing]);
  assert.deepEqual(Object.keys(conversation(state, BOB).typing), ['bob']);
});

test('reactions are sets of users, and go when the last one does', () => {
  /** @type {(username: string, action: string) => Event} */
  const reaction = (username, action) =>
    got({ type: 'reaction', username, messageId: 'a', emoji: '👍', action, location: GENERAL });
  let state = run([
    said('a', 'bob'),
    reaction('bob', 'add'),
    reaction('me', 'add'),
    reaction('me', 'add'),
  ]);
  assert.deepEqual(entries(state)[0].reactions, [['👍', ['bob', 'me']]]);
  state = run(
    [reaction('bob', 'remove'), reaction('me', 'remove'), reaction('me', 'remove')],
    state,
  );
  assert.deepEqual(entries(state)[0].reactions, []);
});

test('a private reaction lands in the conversation with the other user, on both sides', () => {
  const secret = got({
    type: 'private_message',
    from: 'bob',
    message: 'psst',
    timestamp: 1,
    id: 'p',
  });
  /** @type {(username: string, location: string) => Event} */
  const reaction = (username, location) =>
    got({ type: 'reaction', username, messageId: 'p', emoji: '👀', action: 'add', location });
  const state = run([secret, reaction('me', 'private:bob'), reaction('bob', 'private:me')]);
  assert.deepEqual(entries(state, BOB)[0].reactions, [['👀', ['me', 'bob']]]);
});

test('private messages without an id cannot be reacted to', () => {
  const secret = { type: 'private_message', from: 'bob', message: 'psst', timestamp: 1 };
  const state = run([got(secret), got(secret), got({ ...secret, id: 'p' })]);
  assert.deepEqual(
    entries(state, BOB).map(({ reactable }) => reactable),
    [false, false, true],
  );
});

test('what is kept is bounded', () => {
  let state = initialState('me');
  for (let i = 0; i < 3 * ENTRIES_MAX; i += 1) {
    state = run([said(`${i}`, 'bob', `m${i}`)], state);
    const kept = texts(state);
    assert.ok(
      kept.length <= ENTRIES_MAX && kept.length >= Math.min(i + 1, 400),
      `${kept.length} after ${i}`,
    );
    assert.equal(kept.at(-1), `m${i}`);
  }
  const emoji = Array.from({ length: 100 }, (_, i) =>
    got({ type: 'reaction', username: 'bob', messageId: 'a', emoji: `e${i}`, action: 'add' }),
  );
  assert.equal(entries(run([said('a', 'bob'), ...emoji]))[0].reactions.length, 20);
});

test('the first replay is no news; a gap is told', () => {
  /** @type {(id: string, seq: number) => Event} */
  const replayed = (id, seq) => said(id, 'bob', id, { seq, history: true });
  /** @type {(seq: number, recovered: boolean) => Event} */
  const end = (seq, recovered) => got({ type: 'history_end', seq, epoch: 'e', recovered });
  /** @type {Event} */
  const away = { type: 'visible', visible: false };
  let state = run([away, replayed('1', 1), replayed('2', 2), end(2, true)]);
  assert.equal(unreadTotal(state), 0);
  assert.deepEqual([state.seq, state.epoch], [2, 'e']);
  state = run([replayed('3', 3), end(9, false)], state);
  assert.equal(unreadTotal(state), 1);
  assert.equal(state.seq, 9);
  assert.match(texts(state).at(-1) ?? '', /missing/);
});

test('an acknowledgement confirms too', () => {
  const state = run([
    online,
    composed('x'),
    dispatched('x'),
    got({ type: 'ack', id: 'x', seq: 4 }),
    said('x', 'me'),
  ]);
  assert.deepEqual(state.pending, []);
  assert.equal(entries(state).length, 1);
});

test('names that are also words of the language are only names', () => {
  for (const name of ['__proto__', 'constructor', 'toString']) {
    const state = run([
      users('me', name),
      got({ type: 'typing', username: name }),
      said('1', name),
      got({ type: 'reaction', username: name, messageId: '1', emoji: name, action: 'add' }),
    ]);
    assert.deepEqual(entries(state)[0].reactions, [[name, [name]]]);
    assert.ok(knownNames(state).has(name));
  }
});

test('a timestamp no calendar knows is replaced', () => {
  const times = [1e300, -1e300, null, 'x', 12].map((timestamp, i) =>
    said(`${i}`, 'bob', 'x', { timestamp }),
  );
  assert.deepEqual(
    entries(run(times)).map(({ at }) => at),
    [NOW, NOW, NOW, NOW, 12_000],
  );
});

test('messages of other kinds and shapes change nothing or little, and never throw', () => {
  const types = [
    'users',
    'join',
    'leave',
    'message',
    'private_message',
    'typing',
    'stop_typing',
    'private_typing',
    'private_stop_typing',
    'reaction',
    'ack',
    'history_end',
    'error',
    'system',
    'toString',
    '__proto__',
    '',
  ];
  const values = [null, 7, '', 'x', [], {}, [null], { a: 1 }];
  const members = [
    'users',
    'username',
    'from',
    'to',
    'id',
    'message',
    'timestamp',
    'mentions',
    'seq',
    'location',
    'messageId',
    'emoji',
  ];
  for (const type of types) {
    run([got({ type })]);
    for (const member of members) for (const value of values) run([got({ type, [member]: value })]);
  }
});
