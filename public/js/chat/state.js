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
  withoutStaleTyping,
} from './conversation.js';
import { received } from './received.js';

/** A message that no connection got through this often is given back to its author. */
const ATTEMPTS_MAX = 3;

/**
 * @typedef {import('./conversation.js').Conversation} Conversation
 * @typedef {import('./conversation.js').Message} Message
 *
 * @typedef {object} State
 * @property {string} me
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
 *   | {type: 'dispatched', id: string, at: number}
 *   | {type: 'retried', id: string}
 *   | {type: 'discarded', id: string}
 *   | {type: 'received', message: any, at: number}
 *   | {type: 'ticked', at: number}} Event
 */

/**
 * @param {string} me
 * @returns {State}
 */
export function initialState(me) {
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
    case 'dispatched':
      return dispatched(state, event);
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
  return mapConversations({ ...next, pending }, (conversation) =>
    withoutStaleTyping(conversation, Infinity),
  );
}

/**
 * The private messages one sends are not echoed: handed over is all there is to know.
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
  const sent = { ...message, at, delivery: /** @type {const} */ ('sent') };
  return update({ ...state, pending }, message.key, (conversation) =>
    has(conversation, sent.author, sent.id) ? conversation : append(conversation, sent),
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
