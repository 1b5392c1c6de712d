/** Draws the conversation on the screen: its rows, where it is scrolled to, what is new below. */

import { arrange, el, setText } from '../dom.js';
import { conversationOf } from './conversation.js';
import { MessageView } from './message-view.js';
import { dayText, keyOf, rowsOf } from './text.js';

/** This close to the end counts as being there. */
const END_PX = 48;

/**
 * @typedef {import('./state.js').State} State
 * @typedef {{node: HTMLElement, update?: (row: any, state: State) => void}} RowView
 */

export class MessagesView {
  /** @type {Map<string, RowView>} */ #views = new Map();
  #log;
  #toNewest;
  #actions;
  #key = '';
  #atEnd = true;
  #lastKey = '';
  #fresh = 0;

  /**
   * @param {HTMLElement} log the scrolling element
   * @param {HTMLButtonElement} toNewest
   * @param {import('./message-view.js').Actions} actions
   */
  constructor(log, toNewest, actions) {
    this.#log = log;
    this.#toNewest = toNewest;
    this.#actions = actions;
    log.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    log.addEventListener('keydown', (event) => this.#keyDown(event));
    toNewest.addEventListener('click', () => {
      this.scrollToEnd();
      log.focus();
    });
    // A keyboard that slides in, or a composer that grows, must not hide the newest message.
    new ResizeObserver(() => this.#atEnd && this.scrollToEnd()).observe(log);
  }

  scrollToEnd() {
    this.#atEnd = true;
    this.#fresh = 0;
    this.#log.scrollTop = this.#log.scrollHeight;
    this.#drawToNewest();
  }

  /**
   * Leads the eye and the focus to a message of the conversation drawn.
   *
   * @param {import('./conversation.js').Entry | null} entry one that is no longer kept leads to
   *   the end
   */
  reveal(entry) {
    const node = entry && this.#views.get(keyOf(entry))?.node;
    if (!node) {
      this.scrollToEnd();
      this.#log.focus();
      return;
    }
    node.scrollIntoView({ block: 'center' });
    node.focus({ preventScroll: true });
    this.#scrolled();
  }

  /**
   * @param {State} state
   * @param {number} now milliseconds since the epoch
   */
  render(state, now) {
    if (state.active !== this.#key) this.#switchTo(state.active);
    const { entries } = conversationOf(state, state.active);
    const waiting = state.pending.filter((message) => message.key === state.active);
    const rows = rowsOf([...entries, ...waiting]);

    /** @type {Map<string, RowView>} */
    const views = new Map();
    for (const row of rows) {
      const view = this.#views.get(row.key) ?? this.#make(row);
      if (row.kind === 'day') setText(view.node, dayText(row.at, now));
      else view.update?.(row, state);
      views.set(row.key, view);
    }
    this.#countFresh(rows, views.size === 0 ? '' : rows[rows.length - 1].key);
    this.#views = views;
    arrange(
      this.#log,
      [...views.values()].map(({ node }) => node),
    );
    if (!this.#log.contains(document.activeElement)) this.#makeReachable(this.#picks().at(-1));
    if (this.#atEnd) this.scrollToEnd();
    else this.#drawToNewest();
  }

  /** @returns {HTMLElement[]} the buttons to react with, one to a message */
  #picks() {
    return [
      .../** @type {NodeListOf<HTMLElement>} */ (this.#log.querySelectorAll('.pick:not([hidden])')),
    ];
  }

  /**
   * Hundreds of messages are one stop of the Tab key: the button of one of them, the newest at
   * first. Up and down lead to the others.
   *
   * @param {HTMLElement | undefined} pick
   */
  #makeReachable(pick) {
    if (!pick || pick.tabIndex === 0) return;
    for (const other of this.#log.querySelectorAll('.pick[tabindex="0"]'))
      other.setAttribute('tabindex', '-1');
    pick.tabIndex = 0;
  }

  /** @param {KeyboardEvent} event */
  #keyDown(event) {
    const picks = this.#picks();
    const index = picks.indexOf(/** @type {HTMLElement} */ (event.target));
    if (index < 0 || (event.key !== 'ArrowUp' && event.key !== 'ArrowDown')) return;
    event.preventDefault();
    const next = picks[index + (event.key === 'ArrowUp' ? -1 : 1)];
    this.#makeReachable(next);
    next?.focus();
  }

  /** @param {string} key */
  #switchTo(key) {
    this.#key = key;
    this.#views.clear();
    this.#atEnd = true;
    this.#lastKey = '';
    this.#fresh = 0;
    // What was said in another conversation is not news: screen readers get the new rows only.
    this.#log.setAttribute('aria-live', 'off');
    setTimeout(() => this.#log.setAttribute('aria-live', 'polite'), 500);
  }

  /**
   * @param {import('./text.js').Row} row
   * @returns {RowView}
   */
  #make(row) {
    if (row.kind === 'day') return { node: el('p', { class: 'day' }) };
    if (row.entry.kind === 'note') return { node: el('p', { class: 'note' }, row.entry.text) };
    return new MessageView(row.entry, this.#actions);
  }

  /**
   * Counts the messages that arrived after the last one drawn, for the button.
   *
   * @param {import('./text.js').Row[]} rows
   * @param {string} lastKey
   */
  #countFresh(rows, lastKey) {
    if (this.#lastKey !== '' && !this.#atEnd) {
      const known = this.#views;
      this.#fresh += rows.filter(
        (row) => row.kind === 'entry' && row.entry.kind === 'message' && !known.has(row.key),
      ).length;
    }
    this.#lastKey = lastKey;
  }

  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.#log;
    this.#atEnd = scrollHeight - scrollTop - clientHeight < END_PX;
    if (this.#atEnd) this.#fresh = 0;
    this.#drawToNewest();
  }

  #drawToNewest() {
    this.#toNewest.hidden = this.#atEnd;
    const count =
      this.#fresh === 0
        ? 'Newest messages'
        : `${this.#fresh} new message${this.#fresh === 1 ? '' : 's'}`;
    setText(this.#toNewest, count);
    this.#toNewest.classList.toggle('is-fresh', this.#fresh > 0);
  }
}
