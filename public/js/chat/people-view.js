/** Draws the side bar: conversations with their unread counts, and who is online. */

import { arrange, el, setAttribute, setText } from '../dom.js';
import { peerOf, privateKey } from './conversation.js';
import { badgeText, unreadText } from './text.js';

/**
 * @typedef {import('./state.js').State} State
 * @typedef {{node: HTMLElement, button: HTMLButtonElement, name: Element, badge: Element}} Item
 */

export class PeopleView {
  /** @type {Map<string, Item>} */ #conversations = new Map();
  /** @type {Map<string, Item>} */ #people = new Map();
  #lists;
  #open;

  /**
   * @param {{conversations: HTMLElement, online: HTMLElement, count: HTMLElement}} lists
   * @param {(key: string) => void} open
   */
  constructor(lists, open) {
    this.#lists = lists;
    this.#open = open;
  }

  /** @param {State} state */
  render(state) {
    const keys = [...state.conversations.keys()];
    this.#conversations = this.#draw(
      this.#lists.conversations,
      this.#conversations,
      keys,
      (item, key) => drawConversation(item, key, state),
    );
    // The user first: it is the one name everybody looks for.
    const names = [...state.online].sort((a, b) => Number(b === state.me) - Number(a === state.me));
    this.#people = this.#draw(
      this.#lists.online,
      this.#people,
      names.map(privateKey),
      (item, key) => drawPerson(item, peerOf(key) ?? '', state.me),
    );
    setText(this.#lists.count, String(names.length));
  }

  /**
   * @param {HTMLElement} list
   * @param {Map<string, Item>} before
   * @param {string[]} keys
   * @param {(item: Item, key: string) => void} draw
   * @returns {Map<string, Item>}
   */
  #draw(list, before, keys, draw) {
    const items = new Map(keys.map((key) => [key, before.get(key) ?? this.#make(key)]));
    for (const [key, item] of items) draw(item, key);
    arrange(
      list,
      [...items.values()].map(({ node }) => node),
    );
    return items;
  }

  /**
   * @param {string} key
   * @returns {Item}
   */
  #make(key) {
    const name = el('span', { class: 'person-name' });
    const badge = el('span', { class: 'badge' });
    const button = /** @type {HTMLButtonElement} */ (
      el('button', { type: 'button', class: 'person', onclick: () => this.#open(key) }, name, badge)
    );
    return { node: el('li', {}, button), button, name, badge };
  }
}

/**
 * @param {Item} item
 * @param {string} key
 * @param {State} state
 */
function drawConversation({ node, button, name, badge }, key, state) {
  const peer = peerOf(key);
  const unread = state.conversations.get(key)?.unread ?? 0;
  const presence = peer !== null && state.online.includes(peer) ? 'online' : 'offline';
  const title = peer ?? 'General';
  setText(name, title);
  setText(badge, badgeText(unread));
  setAttribute(badge, 'title', unread === 0 ? false : unreadText(unread));
  // A bare number says nothing to who cannot see where it stands; nor does a dot to who sees none.
  const about = [presence === 'online' && 'online', unread > 0 && unreadText(unread)];
  setAttribute(button, 'aria-label', [title, ...about.filter(Boolean)].join(', '));
  setAttribute(button, 'aria-current', key === state.active ? 'true' : false);
  setAttribute(node, 'data-kind', peer === null ? 'group' : presence);
  setAttribute(node, 'data-conversation', key);
}

/**
 * @param {Item} item
 * @param {string} username
 * @param {string} me
 */
function drawPerson({ node, button, name, badge }, username, me) {
  const own = username === me;
  setText(name, username);
  setText(badge, own ? 'you' : '');
  button.disabled = own;
  setAttribute(button, 'title', own ? false : `Write to ${username} alone`);
  setAttribute(node, 'data-username', username);
  setAttribute(node, 'data-kind', 'online');
}
