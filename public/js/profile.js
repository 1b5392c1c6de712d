/** The profile page. */

import { ApiError, me, updateMe } from './api.js';
import { byId, setText } from './dom.js';
import { bindForm, bindHints, showHandover } from './forms.js';
import { keep, takeKept } from './kept.js';
import { askToSignIn, requireToken, signOut } from './session.js';

const form = byId('profile-form');
/** @type {Record<string, string>} what the server holds */
let saved = {};
let userId = 0;

/**
 * Shows the profile, with what the user had changed when the session ended.
 *
 * @param {import('./api.js').Profile} profile
 */
function fill(profile) {
  userId = profile.id;
  saved = { name: profile.name, email: profile.email };
  const unsaved = takeKept('profile', userId);
  const shown = { ...profile, ...changesOf(unsaved ?? {}) };
  for (const name of ['name', 'username', 'email']) {
    const input = form.elements.namedItem(name);
    input.value = shown[/** @type {'name'} */ (name)];
    input.dispatchEvent(new Event('input'));
  }
  if (unsaved) setText(byId('status'), 'Your changes are still here. They are not saved yet.');
}

/**
 * @param {Record<string, unknown>} values
 * @returns {Record<string, string>} those the server does not hold already
 */
function changesOf(values) {
  /** @type {Record<string, string>} */
  const changes = {};
  for (const name of Object.keys(saved)) {
    const value = values[name];
    if (typeof value === 'string' && value !== saved[name]) changes[name] = value;
  }
  return changes;
}

/**
 * Runs a request; a token that is no longer good leads to the login page instead of an error.
 *
 * @template T
 * @param {Promise<T>} request
 * @param {Record<string, string>} [unsaved] kept until the user is back
 * @returns {Promise<T>}
 */
async function signedIn(request, unsaved) {
  try {
    return await request;
  } catch (error) {
    if (error instanceof ApiError && (error.status === 401 || error.status === 404)) {
      if (unsaved) keep('profile', userId, unsaved);
      askToSignIn('Your session has ended. Please sign in again.');
    }
    throw error;
  }
}

/**
 * @param {Record<string, string>} values
 * @returns {Promise<null>} the page stays
 */
async function save(values) {
  const changes = changesOf(values);
  if (Object.keys(changes).length === 0) {
    setText(byId('status'), 'Nothing has changed.');
    return null;
  }
  await signedIn(updateMe(changes), changes);
  saved = { ...saved, ...changes };
  setText(byId('status'), 'Your profile is saved.');
  return null;
}

byId('logout').addEventListener('click', () => {
  signOut();
  location.assign('/');
});

if (requireToken()) {
  showHandover();
  bindHints(form.elements.namedItem('email'));
  try {
    fill(await signedIn(me()));
    bindForm(form, save);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    setText(byId('form-error'), error.message);
  }
}
