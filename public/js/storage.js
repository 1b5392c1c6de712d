/**
 * What one page keeps for the next one in this tab: `sessionStorage`, or the memory of this
 * document where the browser keeps no data for the site or has no room for it.
 */

/** @type {Map<string, string>} */
const memory = new Map();

/** @returns {Storage | null} `null` where the browser allows none: even naming it throws */
function tabStorage() {
  try {
    return window.sessionStorage;
  } catch {
    return null;
  }
}

/** Whether the browser keeps no data for this site. */
export function isStorageBlocked() {
  return tabStorage() === null;
}

/** What to tell the user about it. */
export const BLOCKED_TEXT =
  'Your browser keeps no data for this site. You can use it, but a reload or a link signs you ' +
  'out. To stay signed in, allow site data (cookies) for this address.';

/**
 * @param {string} name
 * @returns {string | null}
 */
export function stored(name) {
  return memory.get(name) ?? tabStorage()?.getItem(name) ?? null;
}

/**
 * @param {string} name
 * @param {string} value
 */
export function store(name, value) {
  memory.delete(name);
  try {
    const storage = tabStorage();
    if (storage) return storage.setItem(name, value);
  } catch {
    // Full. What was kept before under the name must not come back.
    forget(name);
  }
  memory.set(name, value);
}

/** @param {string} name */
export function forget(name) {
  memory.delete(name);
  tabStorage()?.removeItem(name);
}
