/** The form a message is written in. Each conversation keeps its own draft. */

import { isForInputMethod, setAttribute, setText } from '../dom.js';
import { SuggestionsView } from './suggestions-view.js';
import { COUNTER_FROM_CHARS, MESSAGE_CHARS_MAX, charCount, sendable } from './text.js';

const ROWS_MAX = 8;

/**
 * @typedef {object} ComposerParts
 * @property {HTMLFormElement} form
 * @property {HTMLTextAreaElement} input
 * @property {HTMLButtonElement} send
 * @property {HTMLElement} counter
 * @property {HTMLElement} suggestions
 *
 * @typedef {object} ComposerCallbacks
 * @property {(text: string) => void} submit
 * @property {(isEmpty: boolean) => void} typed
 * @property {() => string[]} candidates names a mention may complete to
 */

export class Composer {
  /** @type {Map<string, string>} */ #drafts = new Map();
  #parts;
  #callbacks;
  #suggestions;
  #key = '';

  /**
   * @param {ComposerParts} parts
   * @param {ComposerCallbacks} callbacks
   */
  constructor(parts, callbacks) {
    this.#parts = parts;
    this.#callbacks = callbacks;
    this.#suggestions = new SuggestionsView(parts.input, parts.suggestions, callbacks.candidates);
    parts.input.addEventListener('input', () => {
      this.#changed();
      callbacks.typed(parts.input.value.trim() === '');
    });
    parts.input.addEventListener('keydown', (event) => this.#keyDown(event));
    parts.form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#changed();
  }

  /**
   * Shows the draft of another conversation.
   *
   * @param {string} key
   * @param {string} label whom the message goes to
   */
  switchTo(key, label) {
    if (key === this.#key) return;
    const { input } = this.#parts;
    // What was typed before the first conversation was shown belongs to that one.
    if (this.#key !== '') {
      this.#drafts.set(this.#key, input.value);
      input.value = this.#drafts.get(key) ?? '';
    }
    this.#key = key;
    input.placeholder = label;
    input.setAttribute('aria-label', label);
    this.#suggestions.close();
    this.#changed();
  }

  focus() {
    this.#parts.input.focus();
  }

  /** @returns {[key: string, text: string][]} what was begun, by conversation */
  drafts() {
    const drafts = new Map(this.#drafts).set(this.#key, this.#parts.input.value);
    return [...drafts].filter(([, text]) => text !== '');
  }

  /**
   * Brings drafts back. What has been typed since stays behind them.
   *
   * @param {[key: string, text: string][]} drafts
   */
  restore(drafts) {
    const { input } = this.#parts;
    for (const [key, text] of drafts) {
      const since = key === this.#key ? input.value : (this.#drafts.get(key) ?? '');
      const both = since === '' ? text : `${text}\n${since}`;
      if (key === this.#key) input.value = both;
      else this.#drafts.set(key, both);
    }
    this.#changed();
  }

  /** @param {KeyboardEvent} event */
  #keyDown(event) {
    if (isForInputMethod(event) || this.#suggestions.key(event)) return;
    if (event.key !== 'Enter' || event.shiftKey) return;
    event.preventDefault();
    this.#submit();
  }

  #submit() {
    const { input } = this.#parts;
    const text = sendable(input.value);
    if (text === '' || charCount(text) > MESSAGE_CHARS_MAX) return;
    input.value = '';
    this.#suggestions.close();
    this.#changed();
    this.#callbacks.submit(text);
    input.focus();
  }

  #changed() {
    const { input, send, counter } = this.#parts;
    const count = charCount(sendable(input.value));
    const left = MESSAGE_CHARS_MAX - count;
    send.disabled = count === 0 || left < 0;
    counter.hidden = count < COUNTER_FROM_CHARS;
    counter.classList.toggle('is-over', left < 0);
    // Room that shrinks letter by letter need not be read out; a message that is too long must be.
    setAttribute(counter, 'aria-live', left < 0 ? 'polite' : 'off');
    setText(counter, left < 0 ? `${-left} characters too many` : `${left} characters left`);
    this.#grow();
  }

  #grow() {
    const { input } = this.#parts;
    input.rows = 1;
    while (input.rows < ROWS_MAX && input.scrollHeight > input.clientHeight) input.rows += 1;
  }
}
