/** The side bar on a narrow screen: a panel over the conversation, opened by a button. */

import { isForInputMethod } from '../dom.js';

export class Sidebar {
  #main;
  #close;
  #toggle;
  #narrow = window.matchMedia('(max-width: 47.99em)');

  /** @param {Record<'main' | 'toggle' | 'close' | 'scrim', HTMLElement>} parts */
  constructor({ main, toggle, close, scrim }) {
    this.#main = main;
    this.#toggle = toggle;
    this.#close = close;
    toggle.addEventListener('click', () => this.#set(true));
    close.addEventListener('click', () => this.close());
    scrim.addEventListener('click', () => this.close());
    document.addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && !isForInputMethod(event)) this.close();
    });
    // A wider window shows both: nothing may stay covered or out of reach.
    this.#narrow.addEventListener('change', () => this.#set(false));
  }

  /** Closes the panel if it is open. */
  close() {
    if (document.body.dataset.sidebar !== 'open') return;
    this.#set(false);
    this.#toggle.focus();
  }

  /** @param {boolean} open */
  #set(open) {
    document.body.dataset.sidebar = open ? 'open' : 'closed';
    this.#main.inert = open;
    this.#toggle.setAttribute('aria-expanded', String(open));
    if (open) this.#close.focus();
  }
}
