/**
 * All the chat page knows, and how what happens changes it: `reduce(state, event)`. Pure; the view
 * draws the state, `received.js` holds the part about messages from the server.
 */

import {
  GENERAL,
  append,
  conversationOf,
  emptyConversation,
  has,
  update,
  withArrived,
  withoutStaleTyping,
} from './conversation.js';
import { received } from './received.js';

/** A message that no connection got through this often is given back to its author. */
const ATTEMPTS_MAX = 3;
/** A kept message older than this is not sent before its author has been asked. */
const KEPT_MS_MAX = 20 * 3_600_000;

/**
 * @typedef {import('./conversation.js').Conversation} Conversation
 * @typedef {import('./conversation.js').Message} Message
 *
 * @typedef {object} State
 * @property {string} me the user's name, as the server says; empty until it has
 * @property {import('../socket.js').Connection} connection
 * @property {boolean} visible whether the user can see the page
 * @property {string[]} online
 * @property {string} active key of the conversation on the screen
 * @property {ReadonlyMap<string, Conversation>} conversations
 * @property {Message[]} pending own messages the server has not answered for, oldest first
 * @property {number | null} seq of the last group message, where the server counts them
 * @property {string | null} epoch of the server's database, once a replay has ended
 * @property {number} received how many messages came from the server
 *
 * @typedef {{type: 'connection', connection: import('../socket.js').Connection}
 *   | {type: 'visible', visible: boolean}
 *   | {type: 'opened', key: string}
 *   | {type: 'composed', id: string, key: string, text: string, mentions: string[], at: number}
 *   | {type: 'identified', username: string}
 *   | {type: 'restored', kept: Kept, at: number}
 *   | {type: 'dispatched', id: string, at: number}
 *   | {type: 'arrived', ids: string[]}
 *   | {type: 'retried', id: string}
 *   | {type: 'discarded', id: string}
 *   | {type: 'received', message: any, at: number}
 *   | {type: 'ticked', at: number}} Event
 */

/**
 * @typedef {object} Kept what outlives the page
 * @property {string} active
 * @property {string[]} keys conversations with something in them to send
 * @property {Message[]} pending
 */

/**
 * @param {string} [me]
 * @returns {State}
 */
export function initialState(me = '') {
  return {
    me,
    connection: { phase: 'connecting' },
    visible: true,
    online: [],
    active: GENERAL,
    conversations: new Map([[GENERAL, emptyConversation(GENERAL)]]),
    pending: [],
    seq: null,
    epoch: null,
    received: 0,
  };
}

/**
 * @param {State} state
 * @param {Event} event
 * @returns {State}
 */
export function reduce(state, event) {
  switch (event.type) {
    case 'connection':
      return connectionChanged(state, event.connection);
    case 'visible':
      return markRead({ ...state, visible: event.visible });
    case 'opened':
      return markRead(update({ ...state, active: event.key }, event.key, (same) => same));
    case 'composed':
      return { ...state, pending: [...state.pending, composed(state.me, event)] };
    case 'identified':
      return identified(state, event.username);
    case 'restored':
      return restored(state, event.kept, event.at);
    case 'dispatched':
      return dispatched(state, event);
    case 'arrived':
      return mapConversations(state, (conversation) => withArrived(conversation, event.ids));
    case 'retried':
      return mapPending(state, event.id, (m) => ({
        ...m,
        delivery: 'queued',
        attempts: 0,
        reason: undefined,
      }));
    case 'discarded':
      return { ...state, pending: state.pending.filter((message) => message.id !== event.id) };
    case 'received':
      return received(state, event.message, event.at);
    case 'ticked':
      return mapConversations(state, (conversation) => withoutStaleTyping(conversation, event.at));
    default:
      return state;
  }
}

/**
 * @param {State} state
 * @returns {Message[]} what should be handed to the connection, oldest first
 */
export function queued(state) {
  return state.pending.filter((message) => message.delivery === 'queued');
}

/**
 * @param {State} state
 * @returns {number} messages the user has not seen, in all conversations
 */
export function unreadTotal(state) {
  let total = 0;
  for (const { unread } of state.conversations.values()) total += unread;
  return total;
}

/**
 * Names a mention can mean: who is online, and who has spoken in the room.
 *
 * @param {State} state
 * @returns {Set<string>}
 */
export function knownNames(state) {
  const names = new Set([state.me, ...state.online]);
  for (const entry of conversationOf(state, GENERAL).entries) {
    if (entry.kind === 'message') names.add(entry.author);
  }
  return names;
}

/**
 * @param {State} state
 * @param {(conversation: Conversation) => Conversation} change
 * @returns {State} the same value when no conversation changed
 */
function mapConversations(state, change) {
  let changed = false;
  const conversations = new Map();
  for (const [key, conversation] of state.conversations) {
    const next = change(conversation);
    changed ||= next !== conversation;
    conversations.set(key, next);
  }
  return changed ? { ...state, conversations } : state;
}

/**
 * @param {State} state
 * @param {string} id
 * @param {(message: Message) => Message} change
 * @returns {State}
 */
function mapPending(state, id, change) {
  return { ...state, pending: state.pending.map((m) => (m.id === id ? change(m) : m)) };
}

/**
 * A lost connection takes the typing notices with it, and what it had not answered for waits for
 * the next one. The id stays, so a message that did arrive is not shown twice.
 *
 * @param {State} state
 * @param {State['connection']} connection
 * @returns {State}
 */
function connectionChanged(state, connection) {
  const next = { ...state, connection };
  if (connection.phase === 'online') return next;
  const pending = state.pending.map((message) => {
    if (message.delivery !== 'sending') return message;
    return (message.attempts ?? 0) < ATTEMPTS_MAX
      ? { ...message, delivery: /** @type {const} */ ('queued') }
      : {
          ...message,
          delivery: /** @type {const} */ ('failed'),
          reason: 'The server did not confirm it.',
        };
  });
  const calm = mapConversations({ ...next, pending }, (conversation) =>
    withoutStaleTyping(conversation, Infinity),
  );
  return withDoubts(calm);
}

/**
 * Private messages on their way may have arrived or not. Nobody could tell a second one from the
 * first, so their author decides.
 *
 * @param {State} state
 * @returns {State}
 */
function withDoubts(state) {
  /** @type {Message[]} */
  const unsure = [];
  const next = mapConversations(state, (conversation) => {
    const entries = conversation.entries.filter((entry) => {
      const isUnsure = entry.kind === 'message' && entry.delivery === 'sending';
      if (isUnsure) unsure.push({ ...entry, delivery: 'unsure' });
      return !isUnsure;
    });
    return entries.length < conversation.entries.length
      ? { ...conversation, entries }
      : conversation;
  });
  return unsure.length > 0 ? { ...next, pending: [...unsure, ...next.pending] } : state;
}

/**
 * The server has said who the user is. What waits goes out under that name; what has come back
 * under it already, before we knew, is confirmed.
 *
 * @param {State} state
 * @param {string} username
 * @returns {State}
 */
function identified(state, username) {
  if (username === state.me) return state;
  const pending = state.pending
    .filter((m) => !has(conversationOf(state, m.key), username, m.id))
    .map((m) => ({ ...m, author: username }));
  return { ...state, me: username, pending };
}

/**
 * What was kept when the page was left comes before what was written since.
 *
 * @param {State} state
 * @param {Kept} kept
 * @param {number} now milliseconds since the epoch
 * @returns {State}
 */
function restored(state, { active, keys, pending }, now) {
  let next = state;
  for (const key of keys) next = update(next, key, (same) => same);
  if (state.active === GENERAL && next.conversations.has(active)) next = { ...next, active };
  const back = pending.map((message) => {
    const queuedAgain = message.delivery === 'sending' || message.delivery === 'queued';
    const delivery = /** @type {Message['delivery']} */ (
      queuedAgain ? (now - message.at < KEPT_MS_MAX ? 'queued' : 'unsure') : message.delivery
    );
    return { ...message, author: state.me, delivery };
  });
  return { ...next, pending: [...back, ...next.pending] };
}

/**
 * The private messages one sends are not echoed. They have arrived when something that was sent
 * behind them is answered.
 *
 * @param {State} state
 * @param {{id: string, at: number}} event
 * @returns {State}
 */
function dispatched(state, { id, at }) {
  const message = state.pending.find((m) => m.id === id);
  if (!message) return state;
  if (message.key === GENERAL) {
    return mapPending(state, id, (m) => ({
      ...m,
      delivery: 'sending',
      attempts: (m.attempts ?? 0) + 1,
    }));
  }
  const pending = state.pending.filter((m) => m !== message);
  const sending = { ...message, at, delivery: /** @type {const} */ ('sending') };
  return update({ ...state, pending }, message.key, (conversation) =>
    has(conversation, sending.author, sending.id) ? conversation : append(conversation, sending),
  );
}

/**
 * @param {string} me
 * @param {{id: string, key: string, text: string, mentions: string[], at: number}} event
 * @returns {Message}
 */
function composed(me, { id, key, text, mentions, at }) {
  return {
    kind: 'message',
    key,
    id,
    author: me,
    text,
    at,
    mentions,
    reactions: [],
    reactable: false,
    delivery: 'queued',
  };
}

/**
 * @param {State} state
 * @returns {State} with the conversation on the screen read, if the user can see it
 */
function markRead(state) {
  if (!state.visible || conversationOf(state, state.active).unread === 0) return state;
  return update(state, state.active, (conversation) => ({ ...conversation, unread: 0 }));
}
