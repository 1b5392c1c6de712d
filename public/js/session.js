/**
 * Who is signed in, and what one page wants to tell the next.
 *
 * The token is kept in `sessionStorage`, not `localStorage`: it is worth one hour of somebody's
 * name, so it should not outlive the tab on a shared computer, and two tabs can hold two users.
 * A reload keeps it. It never appears in a URL.
 */

import { forgetKept } from './kept.js';
import { forget, store, stored } from './storage.js';

const TOKEN = 'edgeloop.token';
const HANDOVER = 'edgeloop.handover';

/** Pages the login page may return to. A list, so that a made-up link leads nowhere else. */
const RETURN_PAGES = ['/chat', '/profile', '/'];

/**
 * @typedef {object} Claims what the token says; the server alone decides whether it is true
 * @property {string} username
 * @property {number} [exp] seconds since the epoch
 */

/**
 * @typedef {object} Handover words from one page to the next, shown once
 * @property {string} [message]
 * @property {'info' | 'error'} [kind]
 * @property {string} [username] to fill in
 */

/** @returns {string | null} */
export function token() {
  return stored(TOKEN);
}

/** @param {string} value */
export function signIn(value) {
  store(TOKEN, value);
}

/** The user goes: nothing of theirs stays in the tab. */
export function signOut() {
  forget(TOKEN);
  forgetKept();
}

/**
 * Reads the payload of a JWT, without judging it.
 *
 * @param {string | null} jwt
 * @returns {Claims | null} `null` when it is not a JWT with a username
 */
export function claims(jwt) {
  try {
    const payload = (jwt ?? '').split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
    const bytes = Uint8Array.from(atob(payload), (char) => char.charCodeAt(0));
    const parsed = JSON.parse(new TextDecoder().decode(bytes));
    return typeof parsed?.username === 'string' ? parsed : null;
  } catch {
    return null;
  }
}

/** @param {Handover} handover */
export function handOver(handover) {
  store(HANDOVER, JSON.stringify(handover));
}

/** @returns {Handover} what the page before left, once */
export function takeHandover() {
  const text = stored(HANDOVER);
  forget(HANDOVER);
  try {
    return JSON.parse(text ?? '{}') ?? {};
  } catch {
    return {};
  }
}

/**
 * Where to go after signing in.
 *
 * @param {string} search the query of the login page
 * @returns {string} one of our own pages
 */
export function returnPage(search) {
  const next = new URLSearchParams(search).get('next') ?? '';
  return RETURN_PAGES.includes(next) ? next : '/chat';
}

/**
 * Sends the user to the login page, and back here afterwards. What they were writing stays kept.
 *
 * @param {string} message why, shown there
 */
export function askToSignIn(message) {
  forget(TOKEN);
  handOver({ message, kind: 'error' });
  location.replace(`/login?next=${encodeURIComponent(location.pathname)}`);
}

/**
 * The token of a page that needs one; without it the user is on the way to the login page.
 *
 * @returns {string | null}
 */
export function requireToken() {
  const value = token();
  if (!claims(value)) {
    askToSignIn('Please sign in first.');
    return null;
  }
  return value;
}
