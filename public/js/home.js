/** The start page: says whether somebody is signed in. */

import { ApiError, me } from './api.js';
import { byId, setText } from './dom.js';
import { claims, signOut, token } from './session.js';
import { BLOCKED_TEXT, isStorageBlocked } from './storage.js';

/**
 * @param {boolean} isSignedIn
 * @param {string} text
 */
function show(isSignedIn, text) {
  for (const element of document.querySelectorAll('[data-when]')) {
    const wanted = /** @type {HTMLElement} */ (element).dataset.when === 'in';
    /** @type {HTMLElement} */ (element).hidden = wanted !== isSignedIn;
  }
  byId('status').dataset.state = isSignedIn ? 'in' : 'out';
  setText(byId('status'), text);
}

function showSignedOut() {
  const blocked = isStorageBlocked() ? ` ${BLOCKED_TEXT}` : '';
  show(false, `You are not signed in.${blocked}`);
}

byId('logout').addEventListener('click', () => {
  signOut();
  showSignedOut();
});

// The token may hold a name of the past: only the server knows the one of today.
if (claims(token())) {
  show(true, 'You are signed in.');
  try {
    show(true, `Signed in as ${(await me()).username}.`);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.status === 401 || error.status === 404) {
      signOut();
      showSignedOut();
    } else {
      show(true, `You are signed in, but: ${error.message}`);
    }
  }
} else {
  showSignedOut();
}
