/** Draws one message. Its node stays the same for as long as the message is shown. */

import { arrange, el, setAttribute, setText } from '../dom.js';
import { segments } from './mentions.js';
import { momentText, timeText } from './text.js';

/**
 * @typedef {import('./conversation.js').Message} Message
 *
 * @typedef {object} Actions what a user can do to a message
 * @property {(message: Message, emoji: string, adds: boolean) => void} react
 * @property {(message: Message, button: HTMLElement) => void} pick opens the emoji picker
 * @property {(message: Message) => void} retry
 * @property {(message: Message) => void} discard
 */

/** @type {Record<Message['delivery'], string>} */
const DELIVERY_TEXT = {
  queued: 'Waiting to be sent',
  sending: 'Sending…',
  sent: '',
  unsure: 'Perhaps not sent: the connection was lost',
  failed: 'Not sent',
};

export class MessageView {
  /** @type {Message | null} */ #message = null;
  /** @type {boolean | null} */ #online = null;
  /** @type {string | null} */ #me = null;
  /** @type {Map<string, HTMLButtonElement>} */ #pills = new Map();
  #actions;
  #author;
  #time = el('time', { class: 'message-time' });
  #text = el('p', { class: 'message-text', dir: 'auto' });
  #reactions = el('div', {
    class: 'reactions',
    role: 'group',
    'aria-label': 'Reactions',
    hidden: true,
  });
  #delivery = el('p', { class: 'delivery', hidden: true });
  #pick;

  /**
   * @param {Message} message
   * @param {Actions} actions
   */
  constructor(message, actions) {
    this.#actions = actions;
    this.#author = el('span', { class: 'message-author' }, message.author);
    this.#pick = el(
      'button',
      {
        type: 'button',
        class: 'pick',
        'aria-label': `React to the message of ${message.author}`,
        'aria-haspopup': 'menu',
        tabindex: '-1',
        onclick: () => this.#message && actions.pick(this.#message, this.#pick),
      },
      '☺',
    );
    this.node = el(
      'article',
      { class: 'message', 'data-message-id': message.id, tabindex: '-1' },
      el('header', { class: 'message-head' }, this.#author, this.#time),
      this.#text,
      this.#reactions,
      this.#delivery,
      this.#pick,
    );
  }

  /**
   * @param {{entry: Message, grouped: boolean}} row
   * @param {import('./state.js').State} state
   */
  update({ entry, grouped }, state) {
    this.node.classList.toggle('is-grouped', grouped);
    const online = state.connection.phase === 'online';
    const { me } = state;
    const sameUser = me === this.#me;
    if (entry === this.#message && online === this.#online && sameUser) return;
    const before = this.#message;
    this.#message = entry;
    this.#online = online;
    this.#me = me;

    this.node.classList.toggle('is-own', entry.author === me);
    this.node.classList.toggle('is-mention', entry.author !== me && entry.mentions.includes(me));
    setAttribute(this.node, 'data-delivery', entry.delivery);
    setAttribute(this.#time, 'datetime', new Date(entry.at).toISOString());
    setAttribute(this.#time, 'title', momentText(entry.at));
    setText(this.#time, timeText(entry.at));
    if (!sameUser || before?.text !== entry.text || before.mentions !== entry.mentions)
      this.#drawText(entry, me);
    this.#drawReactions(entry, me, online);
    this.#drawDelivery(entry);
    this.#pick.hidden = !entry.reactable || !online;
  }

  /**
   * @param {Message} message
   * @param {string} me
   */
  #drawText({ text, mentions }, me) {
    const parts = segments(text, new Set(mentions)).map((part) =>
      part.name === null
        ? part.text
        : el('bdi', { class: part.name === me ? 'mention is-me' : 'mention' }, part.text),
    );
    this.#text.replaceChildren(...parts);
  }

  /**
   * @param {Message} message
   * @param {string} me
   * @param {boolean} online
   */
  #drawReactions(message, me, online) {
    /** @type {Map<string, HTMLButtonElement>} */
    const pills = new Map();
    for (const [emoji, users] of message.reactions) {
      const pill = this.#pills.get(emoji) ?? this.#makePill(emoji);
      const mine = users.includes(me);
      setText(pill, `${emoji} ${users.length}`);
      setAttribute(pill, 'aria-pressed', String(mine));
      setAttribute(pill, 'aria-label', `${emoji} from ${users.join(', ')}`);
      setAttribute(pill, 'title', users.join(', '));
      pill.disabled = !online || !message.reactable;
      pills.set(emoji, pill);
    }
    this.#pills = pills;
    arrange(this.#reactions, [...pills.values()]);
    this.#reactions.hidden = pills.size === 0;
  }

  /**
   * @param {string} emoji
   * @returns {HTMLButtonElement}
   */
  #makePill(emoji) {
    const pill = el('button', {
      type: 'button',
      class: 'pill',
      onclick: () => {
        if (!this.#message) return;
        this.#actions.react(this.#message, emoji, pill.getAttribute('aria-pressed') !== 'true');
      },
    });
    return /** @type {HTMLButtonElement} */ (pill);
  }

  /** @param {Message} message */
  #drawDelivery(message) {
    const { delivery, reason } = message;
    this.#delivery.hidden = delivery === 'sent';
    const words = reason ? `${DELIVERY_TEXT[delivery]}: ${reason}` : DELIVERY_TEXT[delivery];
    this.#delivery.replaceChildren(words);
    if (delivery !== 'failed' && delivery !== 'unsure') return;
    this.#delivery.append(
      el('button', { type: 'button', onclick: () => this.#actions.retry(message) }, 'Try again'),
      el('button', { type: 'button', onclick: () => this.#actions.discard(message) }, 'Discard'),
    );
  }
}
