/** The small menu of emoji beside a message. One is open at a time. */

import { el } from '../dom.js';

/** @type {[emoji: string, name: string][]} */
const CHOICES = [
  ['👍', 'Thumbs up'],
  ['❤️', 'Heart'],
  ['😂', 'Laughing'],
  ['🎉', 'Celebrating'],
  ['😮', 'Surprised'],
  ['😢', 'Sad'],
  ['🙏', 'Thanks'],
  ['👀', 'Looking'],
];

export class EmojiPicker {
  /** @type {((emoji: string) => void) | null} */ #chosen = null;
  /** @type {HTMLElement | null} */ #opener = null;
  #menu;

  constructor() {
    const items = CHOICES.map(([emoji, name]) =>
      el(
        'button',
        {
          type: 'button',
          role: 'menuitem',
          tabindex: '-1',
          'aria-label': name,
          title: name,
          onclick: () => this.#choose(emoji),
        },
        emoji,
      ),
    );
    this.#menu = el('div', { class: 'picker', role: 'menu', 'aria-label': 'Reactions' }, ...items);
    this.#menu.addEventListener('keydown', (event) => this.#key(event));
    document.addEventListener('pointerdown', ({ target }) => {
      const node = /** @type {Node} */ (target);
      if (this.#opener && !this.#menu.contains(node) && !this.#opener.contains(node))
        this.close(false);
    });
  }

  /**
   * Opens beside the button, or closes when it is open there.
   *
   * @param {HTMLElement} opener
   * @param {(emoji: string) => void} chosen
   */
  toggle(opener, chosen) {
    const wasOpen = this.#opener === opener;
    this.close(wasOpen);
    if (wasOpen) return;
    this.#opener = opener;
    this.#chosen = chosen;
    opener.setAttribute('aria-expanded', 'true');
    opener.after(this.#menu);
    // Near the top of the list there is no room above the message.
    const list = /** @type {HTMLElement} */ (opener.closest('#messages'));
    const room = opener.getBoundingClientRect().top - list.getBoundingClientRect().top;
    this.#menu.classList.toggle('is-below', room < 64);
    /** @type {HTMLElement} */ (this.#menu.firstElementChild).focus({ preventScroll: true });
  }

  /** @param {boolean} returnsFocus */
  close(returnsFocus) {
    this.#opener?.removeAttribute('aria-expanded');
    this.#menu.remove();
    if (returnsFocus) this.#opener?.focus();
    this.#opener = null;
    this.#chosen = null;
  }

  /** @param {string} emoji */
  #choose(emoji) {
    const chosen = this.#chosen;
    this.close(true);
    chosen?.(emoji);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const items = /** @type {HTMLElement[]} */ ([...this.#menu.children]);
    const index = items.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (event.key === 'Escape') this.close(true);
    else if (event.key === 'Tab') this.close(true);
    else if (event.key === 'Home') items[0].focus();
    else if (event.key === 'End') items[items.length - 1].focus();
    else if (step) items[(index + step + items.length) % items.length].focus();
    else return;
    if (event.key !== 'Tab') event.preventDefault();
    event.stopPropagation();
  }
}
