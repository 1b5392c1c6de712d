/**
 * What a user was writing, kept in this tab over a new sign-in or a reload. It is given back to
 * its author alone: somebody else who signs in here makes it go.
 */

import { forget, store, stored } from './storage.js';

const PREFIX = 'edgeloop.kept.';

/**
 * @param {'chat' | 'profile'} page
 * @param {number} userId
 * @param {object} value goes through JSON
 */
export function keep(page, userId, value) {
  store(PREFIX + page, JSON.stringify({ userId, value }));
}

/**
 * @param {'chat' | 'profile'} page
 * @param {number} userId
 * @returns {any} what was kept for this user, once; else `null`
 */
export function takeKept(page, userId) {
  const text = stored(PREFIX + page);
  forget(PREFIX + page);
  try {
    const kept = JSON.parse(text ?? 'null');
    return kept?.userId === userId ? (kept.value ?? null) : null;
  } catch {
    return null;
  }
}

/** The user has signed out: nothing is kept. */
export function forgetKept() {
  forget(`${PREFIX}chat`);
  forget(`${PREFIX}profile`);
}
