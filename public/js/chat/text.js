/** The words of the chat page: times, days, who is typing, and what may be sent. Pure. */

/** The longest message, in characters (code points). */
export const MESSAGE_CHARS_MAX = 4096;
/** From here on the composer shows how much room is left. */
export const COUNTER_FROM_CHARS = 3800;

/** Messages of one author this close together share one heading. */
const GROUP_MS = 5 * 60_000;
const DAY_MS = 86_400_000;

const time = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: 'long' });
const date = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'long', year: 'numeric' });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });

/** @param {number} at */
export const timeText = (at) => time.format(at);

/** @param {number} at */
export const momentText = (at) => moment.format(at);

/**
 * @param {number} at
 * @param {number} now
 * @returns {string} "Today", "Yesterday", a weekday of the last week, or the date
 */
export function dayText(at, now) {
  const days = Math.round((startOfDay(now) - startOfDay(at)) / DAY_MS);
  if (days === 0) return 'Today';
  if (days === 1) return 'Yesterday';
  return days > 1 && days < 7 ? weekday.format(at) : date.format(at);
}

/** @param {number} at */
function startOfDay(at) {
  return new Date(at).setHours(0, 0, 0, 0);
}

/**
 * @typedef {import('./conversation.js').Entry} Entry
 * @typedef {{kind: 'day', key: string, at: number}
 *   | {kind: 'entry', key: string, entry: Entry, grouped: boolean}} Row
 *   `grouped`: belongs under the heading of the row before
 */

/**
 * Lays entries out as rows, with a separator before each new day.
 *
 * @param {Entry[]} entries
 * @returns {Row[]}
 */
export function rowsOf(entries) {
  /** @type {Row[]} */
  const rows = [];
  /** @type {Entry | null} */
  let before = null;
  for (const entry of entries) {
    const sameDay = before !== null && startOfDay(before.at) === startOfDay(entry.at);
    if (!sameDay) rows.push({ kind: 'day', key: `day of ${keyOf(entry)}`, at: entry.at });
    const grouped = sameDay && before !== null && belongTogether(before, entry);
    rows.push({ kind: 'entry', key: keyOf(entry), entry, grouped });
    before = entry;
  }
  return rows;
}

/**
 * @param {Entry} entry
 * @returns {string} what tells its row from others of the conversation
 */
export function keyOf(entry) {
  return entry.kind === 'message' ? `message ${entry.author} ${entry.id}` : `note ${entry.id}`;
}

/**
 * @param {Entry} before
 * @param {Entry} entry
 */
function belongTogether(before, entry) {
  return (
    before.kind === 'message' &&
    entry.kind === 'message' &&
    before.author === entry.author &&
    Math.abs(entry.at - before.at) < GROUP_MS
  );
}

/**
 * @param {string[]} names
 * @returns {string} empty when nobody types
 */
export function typingText(names) {
  if (names.length === 0) return '';
  if (names.length === 1) return `${names[0]} is typing…`;
  if (names.length === 2) return `${names[0]} and ${names[1]} are typing…`;
  return `${names.length} people are typing…`;
}

/**
 * @param {import('../socket.js').Connection} connection
 * @param {number} now
 * @returns {string}
 */
export function connectionText(connection, now) {
  if (connection.phase === 'connecting') return 'Connecting…';
  if (connection.phase === 'online') return 'Online';
  if (connection.reason) return `Disconnected: ${connection.reason}`;
  if (connection.retryAt === null) return 'Offline: waiting for the network';
  return `Offline: retrying in ${Math.max(0, Math.ceil((connection.retryAt - now) / 1000))} s`;
}

/**
 * @param {import('./state.js').State} state
 * @param {string | null} peer of a private conversation
 * @returns {string} the line below the title
 */
export function aboutText({ online, connection }, peer) {
  if (connection.phase !== 'online') return '';
  if (peer !== null) return online.includes(peer) ? 'Between the two of you' : 'Not online now';
  return online.length > 1 ? `${online.length} people online` : 'Nobody else is here yet';
}

/**
 * @param {number} count
 * @returns {string} short, and empty for nothing
 */
export function badgeText(count) {
  if (count === 0) return '';
  return count > 99 ? '99+' : String(count);
}

/**
 * @param {number} count more than none
 * @returns {string}
 */
export function unreadText(count) {
  return `${count} unread message${count === 1 ? '' : 's'}`;
}

/**
 * Takes out what the server refuses in a message: control characters but tab and line ends, and
 * halves of surrogate pairs, which are not Unicode text.
 *
 * @param {string} text
 * @returns {string} empty when there is nothing to send
 */
export function sendable(text) {
  const clean = text
    .replace(/\p{Surrogate}/gu, '\uFFFD')
    .replace(/\p{Cc}/gu, (char) => ('\t\n\r'.includes(char) ? char : ''));
  return clean.trim();
}

/** @param {string} text */
export function charCount(text) {
  let count = 0;
  for (const _char of text) count += 1;
  return count;
}
