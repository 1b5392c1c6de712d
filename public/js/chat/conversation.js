/** One conversation: the shared room, or a private one. Pure; values are never changed. */

/** Where the group talks. The keys of conversations are the `location`s of the wire contract. */
export const GENERAL = 'group:General';

/** What is kept, and shown, of one conversation. */
export const ENTRIES_MAX = 500;
/** What is left of a full one: dropping many at once spares the browser a shift per message. */
const ENTRIES_AFTER_TRIM = 400;
/** Different emoji shown on one message; more would be vandalism. */
const EMOJI_MAX = 20;
/** A typing notice not renewed for this long is stale: its sender repeats it every 2 s. */
const TYPING_STALE_MS = 6_000;

/**
 * @typedef {object} Message
 * @property {'message'} kind
 * @property {string} key of its conversation
 * @property {string} id
 * @property {string} author
 * @property {string} text
 * @property {number} at milliseconds since the epoch
 * @property {string[]} mentions
 * @property {[emoji: string, usernames: string[]][]} reactions
 * @property {boolean} reactable whether everybody in the conversation knows its id
 * @property {'queued' | 'sending' | 'sent' | 'unsure' | 'failed'} delivery
 *   `unsure`: the connection ended before anything said that it has arrived
 * @property {number} [attempts] how often it was handed to a connection
 * @property {string} [reason] why it failed
 *
 * @typedef {{kind: 'note', id: string, at: number, text: string, about?: string}} Note
 *   a line from the page itself; `about` names the user who came or went
 *
 * @typedef {Message | Note} Entry
 *
 * @typedef {object} Conversation
 * @property {string} key
 * @property {Entry[]} entries in the order of the server, at most `ENTRIES_MAX`
 * @property {number} unread
 * @property {Readonly<Record<string, number>>} typing when each user last gave notice, in ms
 */

/** @param {string} peer */
export const privateKey = (peer) => `private:${peer}`;

/**
 * @param {string} key
 * @returns {string | null} the other user of a private conversation
 */
export const peerOf = (key) => (key.startsWith('private:') ? key.slice('private:'.length) : null);

/**
 * @param {string} key
 * @returns {Conversation}
 */
export function emptyConversation(key) {
  return { key, entries: [], unread: 0, typing: {} };
}

/**
 * @param {import('./state.js').State} state
 * @param {string} key
 * @returns {Conversation}
 */
export function conversationOf(state, key) {
  return state.conversations.get(key) ?? emptyConversation(key);
}

/**
 * Replaces one conversation, which is made first if need be.
 *
 * @param {import('./state.js').State} state
 * @param {string} key
 * @param {(conversation: Conversation) => Conversation} change
 * @returns {import('./state.js').State}
 */
export function update(state, key, change) {
  const conversations = new Map(state.conversations);
  conversations.set(key, change(conversationOf(state, key)));
  return { ...state, conversations };
}

/**
 * Adds an entry at the end; the oldest fall off. A coming or going replaces the one of the same
 * user right before it, so that an unsteady connection does not fill the screen.
 *
 * @param {Conversation} conversation
 * @param {Entry} entry
 * @returns {Conversation}
 */
export function append(conversation, entry) {
  const last = conversation.entries.at(-1);
  const replaces =
    entry.kind === 'note' && entry.about && last?.kind === 'note' && last.about === entry.about;
  const kept = replaces ? conversation.entries.slice(0, -1) : conversation.entries;
  const entries = kept.length < ENTRIES_MAX ? kept : kept.slice(1 - ENTRIES_AFTER_TRIM);
  return { ...conversation, entries: [...entries, entry] };
}

/**
 * @param {Conversation} conversation
 * @param {string} author
 * @param {string} id only unique together with the author: clients choose their ids
 * @returns {boolean}
 */
export function has(conversation, author, id) {
  return conversation.entries.some(
    (entry) => entry.kind === 'message' && entry.id === id && entry.author === author,
  );
}

/**
 * The message a notification speaks of, which has no id to say so.
 *
 * @param {Conversation} conversation
 * @param {{from: string, message: string, timestamp: number}} notification
 * @returns {Entry | null} the newest that fits
 */
export function mentioning({ entries }, { from, message, timestamp }) {
  const found = entries.findLast(
    (entry) =>
      entry.kind === 'message' &&
      entry.author === from &&
      entry.text === message &&
      entry.at === timestamp * 1000,
  );
  return found ?? null;
}

/**
 * Marks private messages of ours as arrived.
 *
 * @param {Conversation} conversation
 * @param {string[]} ids
 * @returns {Conversation} the same value when it has none of them
 */
export function withArrived(conversation, ids) {
  const isMeant = (/** @type {Entry} */ entry) =>
    entry.kind === 'message' && entry.delivery === 'sending' && ids.includes(entry.id);
  if (!conversation.entries.some(isMeant)) return conversation;
  const entries = conversation.entries.map((entry) =>
    isMeant(entry) ? /** @type {Message} */ ({ ...entry, delivery: 'sent' }) : entry,
  );
  return { ...conversation, entries };
}

/**
 * @param {Conversation} conversation
 * @param {{messageId: string, emoji: string, username: string, adds: boolean}} reaction
 * @returns {Conversation}
 */
export function react(conversation, { messageId, emoji, username, adds }) {
  const entries = conversation.entries.map((entry) => {
    if (entry.kind !== 'message' || entry.id !== messageId) return entry;
    return { ...entry, reactions: withReaction(entry.reactions, emoji, username, adds) };
  });
  return { ...conversation, entries };
}

/**
 * @param {Message['reactions']} reactions
 * @param {string} emoji
 * @param {string} username
 * @param {boolean} adds
 * @returns {Message['reactions']}
 */
function withReaction(reactions, emoji, username, adds) {
  const users = reactions.find(([known]) => known === emoji)?.[1];
  if (!users) {
    return adds && reactions.length < EMOJI_MAX ? [...reactions, [emoji, [username]]] : reactions;
  }
  const others = users.filter((user) => user !== username);
  const next = adds ? [...others, username] : others;
  return reactions
    .map(
      ([known, list]) => /** @type {[string, string[]]} */ ([known, known === emoji ? next : list]),
    )
    .filter(([, list]) => list.length > 0);
}

/**
 * @param {Conversation} conversation
 * @param {string} username
 * @param {number | null} at when the notice came, `null` when the user stopped
 * @returns {Conversation}
 */
export function withTyping(conversation, username, at) {
  if (at === null && !Object.hasOwn(conversation.typing, username)) return conversation;
  const { [username]: _before, ...others } = conversation.typing;
  return { ...conversation, typing: at === null ? others : { ...others, [username]: at } };
}

/**
 * @param {Conversation} conversation
 * @param {number} now
 * @returns {Conversation} the same value when nobody's notice is stale
 */
export function withoutStaleTyping(conversation, now) {
  const fresh = Object.entries(conversation.typing).filter(([, at]) => now - at < TYPING_STALE_MS);
  if (fresh.length === Object.keys(conversation.typing).length) return conversation;
  return { ...conversation, typing: Object.fromEntries(fresh) };
}
