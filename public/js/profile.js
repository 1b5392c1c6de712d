/** The profile page. */

import { ApiError, me, updateMe } from './api.js';
import { byId, setText } from './dom.js';
import { bindForm, bindHints, showHandover } from './forms.js';
import { askToSignIn, requireToken, signOut } from './session.js';

const form = byId('profile-form');
/** @type {Record<string, string>} what the server holds */
let saved = {};

/** @param {import('./api.js').Profile} profile */
function fill(profile) {
  saved = { name: profile.name, email: profile.email };
  for (const name of ['name', 'username', 'email']) {
    const input = form.elements.namedItem(name);
    input.value = profile[/** @type {'name'} */ (name)];
    input.dispatchEvent(new Event('input'));
  }
}

/**
 * Runs a request; a token that is no longer good leads to the login page instead of an error.
 *
 * @template T
 * @param {Promise<T>} request
 * @returns {Promise<T>}
 */
async function signedIn(request) {
  try {
    return await request;
  } catch (error) {
    if (error instanceof ApiError && (error.status === 401 || error.status === 404)) {
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
  const changes = Object.fromEntries(
    Object.keys(saved)
      .filter((key) => values[key] !== saved[key])
      .map((key) => [key, values[key]]),
  );
  if (Object.keys(changes).length === 0) {
    setText(byId('status'), 'Nothing has changed.');
    return null;
  }
  await signedIn(updateMe(changes));
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
