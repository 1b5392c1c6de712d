/** Short notices in the corner: mentions, and what the server refuses. */

import { now } from '../clock.js';
import { el, setText } from '../dom.js';
import { asSentence } from '../words.js';

const SHOWN_MS = 8_000;
const NOTICES_MAX = 3;

export class Notices {
  #region;

  /** @param {HTMLElement} region a live region */
  constructor(region) {
    this.#region = region;
  }

  /**
   * @param {string} text
   * @param {string} [quote] words of another user, behind the text
   * @param {{label: string, run: () => void}} [action]
   */
  show(text, quote, action) {
    const { toast, words } = this.#add(text, action);
    // Isolated, so that their direction does not turn our words around.
    if (quote !== undefined) words.append(' ', el('bdi', {}, quote));
    // Nobody should have to race a notice they are about to use.
    const leave = () =>
      toast.matches(':hover, :focus-within') ? setTimeout(leave, 1_000) : toast.remove();
    setTimeout(leave, SHOWN_MS);
  }

  /**
   * A notice that counts down and goes when it is over. Only the first words are announced.
   *
   * @param {string} text
   * @param {number} seconds
   */
  countDown(text, seconds) {
    for (const other of this.#region.querySelectorAll('.counts-down')) other.remove();
    const { toast, words } = this.#add(asSentence(text));
    const clock = el('span', { 'aria-hidden': 'true' });
    const until = now() + seconds * 1000;
    toast.classList.add('counts-down');
    words.append(el('span', { class: 'visually-hidden' }, ` Try again in ${seconds} s.`), clock);
    const tick = () => {
      const left = Math.ceil((until - now()) / 1000);
      if (left <= 0 || !toast.isConnected) return toast.remove();
      setText(clock, ` Try again in ${left} s.`);
      setTimeout(tick, 250);
    };
    tick();
  }

  /**
   * @param {string} text
   * @param {{label: string, run: () => void}} [action]
   */
  #add(text, action) {
    const words = el('p', {}, text);
    const toast = el('div', { class: 'toast' }, words);
    if (action) {
      const run = () => {
        toast.remove();
        action.run();
      };
      toast.append(
        el('button', { type: 'button', class: 'toast-action', onclick: run }, action.label),
      );
    }
    toast.append(
      el(
        'button',
        {
          type: 'button',
          class: 'toast-close',
          'aria-label': 'Dismiss',
          onclick: () => toast.remove(),
        },
        '×',
      ),
    );
    this.#region.append(toast);
    while (this.#region.children.length > NOTICES_MAX) this.#region.firstElementChild?.remove();
    return { toast, words };
  }
}
