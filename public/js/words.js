/** Reading and joining the sentences the server sends. Pure. */

/**
 * The field a sentence from the server speaks of, when that is clear. Sentences that name several
 * fields ("Invalid username or password") belong to the whole form.
 *
 * @param {string} message
 * @param {string[]} fields names of the form's fields
 * @returns {string | null}
 */
export function fieldOf(message, fields) {
  const words = message.toLowerCase().split(/[^a-z]+/);
  const named = fields.filter((field) => words.includes(field));
  return named.length === 1 ? named[0] : null;
}

/**
 * Ends a text like a sentence, so that another can follow it.
 *
 * @param {string} text
 * @returns {string}
 */
export function asSentence(text) {
  return /[.!?…]$/.test(text) ? text : `${text}.`;
}
