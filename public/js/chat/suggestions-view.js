/** The list of names offered after an `@`. The focus stays in the text; arrow keys choose. */

import { el } from '../dom.js';
import { complete, mentionAt, suggestions } from './mentions.js';

export class SuggestionsView {
  /** @type {string[]} */ #names = [];
  #prefix = '';
  #chosen = 0;
  #input;
  #list;
  #candidates;

  /**
   * @param {HTMLTextAreaElement} input
   * @param {HTMLElement} list
   * @param {() => string[]} candidates
   */
  constructor(input, list, candidates) {
    this.#input = input;
    this.#list = list;
    this.#candidates = candidates;
    input.addEventListener('input', () => this.#refresh());
    input.addEventListener('click', () => this.#refresh());
    input.addEventListener('blur', () => this.close());
  }

  /**
   * @param {KeyboardEvent} event
   * @returns {boolean} whether the key was for the list
   */
  key(event) {
    if (this.#list.hidden) return false;
    const count = this.#names.length;
    // A name typed in full needs no completing: Enter sends the message.
    if (event.key === 'Enter' && this.#names[this.#chosen] === this.#prefix) return false;
    if (event.key === 'ArrowDown') this.#choose((this.#chosen + 1) % count);
    else if (event.key === 'ArrowUp') this.#choose((this.#chosen + count - 1) % count);
    else if (event.key === 'Escape') this.close();
    else if ((event.key === 'Enter' && !event.shiftKey) || event.key === 'Tab')
      this.#accept(this.#chosen);
    else return false;
    event.preventDefault();
    return true;
  }

  close() {
    this.#list.hidden = true;
    this.#input.removeAttribute('aria-activedescendant');
  }

  #refresh() {
    const { value, selectionStart, selectionEnd } = this.#input;
    const mention = selectionStart === selectionEnd ? mentionAt(value, selectionStart) : null;
    this.#prefix = mention?.prefix ?? '';
    this.#names = mention ? suggestions(mention.prefix, this.#candidates()) : [];
    if (this.#names.length === 0) return this.close();
    this.#list.replaceChildren(
      ...this.#names.map((name, index) =>
        el(
          'li',
          {
            id: `suggestion-${index}`,
            role: 'option',
            // Before the text loses the focus.
            onpointerdown: (/** @type {Event} */ event) => {
              event.preventDefault();
              this.#accept(index);
            },
          },
          name,
        ),
      ),
    );
    this.#list.hidden = false;
    this.#choose(0);
  }

  /** @param {number} index */
  #choose(index) {
    this.#chosen = index;
    [...this.#list.children].forEach((item, i) =>
      item.setAttribute('aria-selected', String(i === index)),
    );
    this.#input.setAttribute('aria-activedescendant', `suggestion-${index}`);
    this.#list.children[index].scrollIntoView({ block: 'nearest' });
  }

  /** @param {number} index */
  #accept(index) {
    const { text, caret } = complete(
      this.#input.value,
      this.#input.selectionStart,
      this.#names[index],
    );
    this.#input.value = text;
    this.#input.setSelectionRange(caret, caret);
    this.#input.dispatchEvent(new Event('input', { bubbles: true }));
    this.close();
  }
}
