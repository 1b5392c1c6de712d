/** Going to another page of ours, also in a browser that keeps no data from one page to the next. */

import { isStorageBlocked } from './storage.js';

/**
 * Without storage the next page is put into this document, whose modules still know who is signed
 * in; a real change of pages would forget it.
 *
 * @param {string} path of one of our pages, which the document has not shown before
 */
export async function goTo(path) {
  const text = isStorageBlocked() ? await pageText(path) : null;
  if (text === null) return location.assign(path);
  const page = new DOMParser().parseFromString(text, 'text/html');
  // Scripts parsed like this never run by themselves.
  const scripts = [...page.scripts].map(({ src }) => src);
  history.pushState(null, '', path);
  window.addEventListener('popstate', () => location.reload());
  // The icon stays: without one for a moment, browsers ask for /favicon.ico.
  const isIcon = (/** @type {Element} */ element) => element.matches('[rel=icon]');
  for (const old of [...document.head.children]) if (!isIcon(old)) old.remove();
  document.head.append(...[...page.head.children].filter((element) => !isIcon(element)));
  document.body.replaceWith(page.body);
  for (const script of scripts) await import(script);
}

/**
 * @param {string} path
 * @returns {Promise<string | null>} `null` when it cannot be had
 */
async function pageText(path) {
  try {
    const response = await fetch(path, { credentials: 'omit' });
    return response.ok ? await response.text() : null;
  } catch {
    return null;
  }
}
