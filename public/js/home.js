/** The start page: says whether somebody is signed in. */

import { ApiError, me } from './api.js';
import { byId, setText } from './dom.js';
import { claims, signOut, token } from './session.js';

/** @param {string | null} username */
function show(username) {
  for (const element of document.querySelectorAll('[data-when]')) {
    const wanted = /** @type {HTMLElement} */ (element).dataset.when === 'in';
    /** @type {HTMLElement} */ (element).hidden = wanted !== (username !== null);
  }
  byId('status').dataset.state = username === null ? 'out' : 'in';
  setText(
    byId('status'),
    username === null ? 'You are not signed in.' : `Signed in as ${username}.`,
  );
}

byId('logout').addEventListener('click', () => {
  signOut();
  show(null);
});

const known = claims(token());
show(known ? known.username : null);
if (known) {
  try {
    show((await me()).username);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.status === 401 || error.status === 404) {
      signOut();
      show(null);
    } else {
      setText(byId('status'), `Signed in as ${known.username}, but: ${error.message}`);
    }
  }
}
