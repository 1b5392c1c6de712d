/** Mentions: finding `@name` in a text, and completing one while it is typed. Pure. */

/** Mentions sent with one message; more is shouting, and the server takes no more. */
const MENTIONS_MAX = 50;
/** Suggestions shown at once. */
const SUGGESTIONS_MAX = 8;

/**
 * What an `@` may follow: not a letter or digit, as in an email address, unless it is of a script
 * that puts no spaces between words. The marks that make an emoji one are no letter's.
 */
const BEFORE =
  '(?<=^|[^\\p{L}\\p{M}\\p{N}_.@-]|\\u{FE0F}|\\u{20E3}' +
  ['Han', 'Hira', 'Kana', 'Hang', 'Bopo', 'Thai', 'Laoo', 'Khmr', 'Mymr']
    .map((script) => `|\\p{scx=${script}}`)
    .join('') +
  ')';
const MENTION = new RegExp(`${BEFORE}@([A-Za-z_-][A-Za-z0-9_-]{0,31})`, 'gu');
const UNFINISHED = new RegExp(`${BEFORE}@([A-Za-z0-9_-]{0,32})$`, 'u');

/**
 * @typedef {{text: string, name: string | null}} Segment `name` when the text is a mention
 */

/**
 * Cuts a text into plain parts and mentions. A name may be followed by a hyphen of the sentence
 * ("@bob- ..."), so the longest known start of the word counts.
 *
 * @param {string} text
 * @param {ReadonlySet<string>} known
 * @returns {Segment[]} in order; their texts together are the text
 */
export function segments(text, known) {
  /** @type {Segment[]} */
  const result = [];
  let end = 0;
  for (const match of text.matchAll(MENTION)) {
    const name = longestKnown(match[1], known);
    if (!name) continue;
    const start = match.index;
    if (start > end) result.push({ text: text.slice(end, start), name: null });
    end = start + 1 + name.length;
    result.push({ text: text.slice(start, end), name });
  }
  if (end < text.length) result.push({ text: text.slice(end), name: null });
  return result;
}

/**
 * @param {string} word
 * @param {ReadonlySet<string>} known
 * @returns {string | null}
 */
function longestKnown(word, known) {
  for (let name = word; name !== ''; name = name.slice(0, -1)) {
    if (known.has(name)) return name;
    if (!/[_-]$/.test(name)) return null;
  }
  return null;
}

/**
 * @param {string} text
 * @param {ReadonlySet<string>} known
 * @returns {string[]} each name once
 */
export function mentionedNames(text, known) {
  const names = segments(text, known).flatMap(({ name }) => (name ? [name] : []));
  return [...new Set(names)].slice(0, MENTIONS_MAX);
}

/**
 * The mention being typed at the caret.
 *
 * @param {string} text
 * @param {number} caret
 * @returns {{start: number, prefix: string} | null} `start` is the place of the `@`
 */
export function mentionAt(text, caret) {
  const match = UNFINISHED.exec(text.slice(0, caret));
  return match && { start: match.index, prefix: match[1] };
}

/**
 * @param {string} prefix
 * @param {string[]} names
 * @returns {string[]} those that start so, whatever the case
 */
export function suggestions(prefix, names) {
  const wanted = prefix.toLowerCase();
  return names.filter((name) => name.toLowerCase().startsWith(wanted)).slice(0, SUGGESTIONS_MAX);
}

/**
 * Puts a name in the place of the mention being typed.
 *
 * @param {string} text
 * @param {number} caret
 * @param {string} name
 * @returns {{text: string, caret: number}}
 */
export function complete(text, caret, name) {
  const start = mentionAt(text, caret)?.start ?? caret;
  const before = `${text.slice(0, start)}@${name} `;
  return { text: before + text.slice(caret).replace(/^ /, ''), caret: before.length };
}
