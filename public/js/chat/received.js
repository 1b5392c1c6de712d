/** What each message from the server does to the state. Pure; called by `reduce`. */

import { GENERAL, append, has, privateKey, react, update, withTyping } from './conversation.js';

/**
 * @typedef {import('./state.js').State} State
 * @typedef {import('./conversation.js').Message} Message
 */

/** @type {Record<string, (state: State, message: any, now: number) => State>} */
const HANDLERS = {
  users: (state, { users }) => ({ ...state, online: onlineNames(users) }),
  join: (state, message, now) => presence(state, message, now, 'joined'),
  leave: (state, message, now) => presence(state, message, now, 'left'),
  message: groupMessage,
  private_message: privateMessage,
  typing: (state, { username }, now) => typing(state, GENERAL, username, now),
  stop_typing: (state, { username }) => typing(state, GENERAL, username, null),
  private_typing: (state, { from }, now) => typing(state, privateKey(from), from, now),
  private_stop_typing: (state, { from }) => typing(state, privateKey(from), from, null),
  reaction,
  ack: (state, { id }) => confirmed(state, String(id)),
  history_end: historyEnd,
  error: (state, { id, message }) =>
    id === undefined ? state : refused(state, String(id), String(message)),
};

/**
 * @param {State} state
 * @param {any} message parsed JSON with a string `type`; of unknown types nothing comes
 * @param {number} now milliseconds since the epoch
 * @returns {State}
 */
export function received(state, message, now) {
  if (!Object.hasOwn(HANDLERS, message.type)) return state;
  return HANDLERS[message.type]({ ...state, received: state.received + 1 }, message, now);
}

/**
 * @param {unknown} users
 * @returns {string[]}
 */
function onlineNames(users) {
  const list = Array.isArray(users) ? users : [];
  const names = list
    .filter((user) => user?.isOnline !== false)
    .map((user) => String(user?.username));
  return sorted(names);
}

/** @param {Iterable<string>} names */
function sorted(names) {
  return [...new Set(names)].sort((a, b) => a.localeCompare(b));
}

/**
 * @param {State} state
 * @param {any} message
 * @param {number} now
 * @param {'joined' | 'left'} verb
 * @returns {State}
 */
function presence(state, { username, timestamp }, now, verb) {
  const others = state.online.filter((name) => name !== username);
  const online = verb === 'joined' ? sorted([...others, username]) : others;
  const at = milliseconds(timestamp, now);
  const note = {
    kind: /** @type {const} */ ('note'),
    id: `${verb} ${username} ${now}`,
    at,
    text: `${username} ${verb}`,
    about: username,
  };
  const gone = verb === 'left' ? typing(state, privateKey(username), username, null) : state;
  return update({ ...gone, online }, GENERAL, (conversation) =>
    append(withTyping(conversation, username, null), note),
  );
}

/**
 * @param {State} state
 * @param {any} message
 * @param {number} now
 * @returns {State}
 */
function groupMessage(state, message, now) {
  const author = String(message.username);
  const known = message.id !== undefined && message.id !== null;
  const entry = {
    ...incoming(state, message, author, GENERAL, now),
    mentions: Array.isArray(message.mentions) ? message.mentions.map(String) : [],
    reactable: known,
  };
  const pending =
    author === state.me ? state.pending.filter((m) => m.id !== entry.id) : state.pending;
  const seq = Number.isFinite(message.seq) ? Math.max(message.seq, state.seq ?? 0) : state.seq;
  const next = { ...state, pending, seq };
  return deliver(next, entry, isNews(state, message));
}

/**
 * The contract gives private messages no id, so there is nothing a reaction could name. This page
 * sends one all the same: a server that passes it on makes the message open to reactions.
 *
 * @param {State} state
 * @param {any} message
 * @param {number} now
 * @returns {State}
 */
function privateMessage(state, message, now) {
  const author = String(message.from);
  // A replay, or another tab of ours, may bring our own words back.
  const peer = author === state.me ? message.to : author;
  if (typeof peer !== 'string') return state;
  const entry = {
    ...incoming(state, message, author, privateKey(peer), now),
    reactable: message.id !== undefined && message.id !== null,
  };
  return deliver(state, entry, isNews(state, message));
}

/**
 * @param {State} state
 * @param {any} message
 * @param {string} author
 * @param {string} key
 * @param {number} now
 * @returns {Message}
 */
function incoming(state, message, author, key, now) {
  return {
    kind: 'message',
    key,
    id: String(message.id ?? `unnamed-${state.received}`),
    author,
    text: String(message.message),
    at: milliseconds(message.timestamp, now),
    mentions: [],
    reactions: [],
    reactable: false,
    delivery: 'sent',
  };
}

/**
 * The first replay shows what was said before the user came: nothing of it is news.
 *
 * @param {State} state
 * @param {any} message
 */
function isNews(state, message) {
  return !message.history || state.epoch !== null;
}

/**
 * @param {State} state
 * @param {Message} entry
 * @param {boolean} counts among the unread, unless the user sees it arrive
 * @returns {State}
 */
function deliver(state, entry, counts) {
  const seen = entry.author === state.me || (state.visible && state.active === entry.key);
  return update(state, entry.key, (conversation) => {
    if (has(conversation, entry.author, entry.id)) return conversation;
    const next = append(withTyping(conversation, entry.author, null), entry);
    return counts && !seen ? { ...next, unread: next.unread + 1 } : next;
  });
}

/**
 * @param {State} state
 * @param {string} key
 * @param {string} username
 * @param {number | null} at
 * @returns {State}
 */
function typing(state, key, username, at) {
  // Somebody who merely types does not open a conversation on our screen.
  if (!state.conversations.has(key) || username === state.me) return state;
  return update(state, key, (conversation) => withTyping(conversation, username, at));
}

/**
 * In a private conversation the location names the user who did not react.
 *
 * @param {State} state
 * @param {any} message
 * @returns {State}
 */
function reaction(state, { username, messageId, emoji, action, location = GENERAL }) {
  const isPrivate = String(location).startsWith('private:');
  const key = isPrivate && username !== state.me ? privateKey(username) : location;
  if (!state.conversations.has(key)) return state;
  const change = {
    messageId: String(messageId),
    emoji: String(emoji),
    username,
    adds: action !== 'remove',
  };
  return update(state, key, (conversation) => react(conversation, change));
}

/**
 * The server has stored the message; its place in the room comes with the broadcast, if not before.
 *
 * @param {State} state
 * @param {string} id
 * @returns {State}
 */
function confirmed(state, id) {
  const message = state.pending.find((m) => m.id === id);
  if (!message) return state;
  const entry = { ...message, delivery: /** @type {const} */ ('sent'), reactable: true };
  const pending = state.pending.filter((m) => m !== message);
  return deliver({ ...state, pending }, entry, false);
}

/**
 * @param {State} state
 * @param {any} message
 * @param {number} now
 * @returns {State}
 */
function historyEnd(state, { seq, epoch, recovered }, now) {
  const next = {
    ...state,
    seq: Number.isFinite(seq) ? seq : state.seq,
    epoch: String(epoch ?? ''),
  };
  if (recovered !== false || state.epoch === null) return next;
  const text = 'Some messages sent while you were away are missing.';
  return update(next, GENERAL, (conversation) =>
    append(conversation, { kind: 'note', id: `gap ${now}`, at: now, text }),
  );
}

/**
 * The server refused a message of ours: it goes back among the pending ones, marked.
 *
 * @param {State} state
 * @param {string} id
 * @param {string} reason
 * @returns {State}
 */
function refused(state, id, reason) {
  const failed = { delivery: /** @type {const} */ ('failed'), reason };
  if (state.pending.some((m) => m.id === id)) {
    return { ...state, pending: state.pending.map((m) => (m.id === id ? { ...m, ...failed } : m)) };
  }
  for (const conversation of state.conversations.values()) {
    const sent = conversation.entries.find(
      (entry) => entry.kind === 'message' && entry.id === id && entry.author === state.me,
    );
    if (sent?.kind !== 'message') continue;
    const entries = conversation.entries.filter((entry) => entry !== sent);
    const next = update(state, conversation.key, (same) => ({ ...same, entries }));
    return { ...next, pending: [...state.pending, { ...sent, ...failed }] };
  }
  return state;
}

/**
 * @param {unknown} timestamp seconds, from the server
 * @param {number} now
 * @returns {number}
 */
function milliseconds(timestamp, now) {
  const at = Number.isFinite(timestamp) ? Number(timestamp) * 1000 : now;
  return Number.isNaN(new Date(at).getTime()) ? now : at;
}
