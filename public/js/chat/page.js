/** The chat page: ties the state, the connection and the views together. */

import { byId, oncePerFrame, setAttribute, setText } from '../dom.js';
import { askToSignIn, signOut } from '../session.js';
import { Composer } from './composer.js';
import { GENERAL, conversationOf, peerOf } from './conversation.js';
import { EmojiPicker } from './emoji-picker.js';
import { ChatLink } from './link.js';
import { mentionedNames } from './mentions.js';
import { MessagesView } from './messages-view.js';
import { Notices } from './notices.js';
import { PeopleView } from './people-view.js';
import { Sidebar } from './sidebar.js';
import { initialState, knownNames, reduce, unreadTotal } from './state.js';
import { aboutText, badgeText, connectionText, typingText } from './text.js';
import { TypingNotices } from './typing.js';

const TICK_MS = 500;

/**
 * @typedef {import('./state.js').State} State
 * @typedef {import('./conversation.js').Message} Message
 */

export class ChatPage {
  /** @type {Map<string, TypingNotices>} by conversation */
  #typing = new Map();
  #notices = new Notices(byId('notices'));
  #picker = new EmojiPicker();
  #draw = oncePerFrame(() => this.#render());
  /** @type {State} */ #state;
  #link;
  #sidebar;
  #messages;
  #people;
  #composer;

  /** @param {string} username */
  constructor(username) {
    this.#state = initialState(username);
    this.#link = new ChatLink({
      state: () => this.#state,
      dispatch: (event) => this.#dispatch(event),
      onMessage: (message) => this.#notify(message),
      onSessionEnd: () => askToSignIn('Your session has ended. Please sign in again.'),
    });
    this.#sidebar = new Sidebar({
      main: byId('main'),
      toggle: byId('people-toggle'),
      close: byId('people-close'),
      scrim: byId('scrim'),
    });
    this.#messages = new MessagesView(byId('messages'), byId('to-newest'), this.#messageActions());
    this.#people = new PeopleView(
      {
        conversations: byId('conversations'),
        online: byId('online-list'),
        count: byId('online-count'),
      },
      (key) => this.#open(key),
    );
    this.#composer = this.#makeComposer();
  }

  /** Draws the page, connects, and keeps both going. */
  start() {
    setText(byId('username'), this.#state.me);
    byId('logout').addEventListener('click', () => {
      this.#link.leave();
      signOut();
      location.assign('/');
    });
    document.addEventListener('visibilitychange', () => this.#visibilityChanged());
    this.#visibilityChanged();
    this.#render();
    setInterval(() => this.#tick(), TICK_MS);
  }

  /** @returns {import('./message-view.js').Actions} */
  #messageActions() {
    return {
      react: (message, emoji, adds) => this.#react(message, emoji, adds),
      pick: (message, button) =>
        this.#picker.toggle(button, (emoji) => this.#react(message, emoji, true)),
      retry: ({ id }) => {
        this.#dispatch({ type: 'retried', id });
        this.#link.flush();
        this.#composer.focus();
      },
      discard: ({ id }) => {
        this.#dispatch({ type: 'discarded', id });
        this.#composer.focus();
      },
    };
  }

  #makeComposer() {
    const parts = {
      form: byId('composer'),
      input: byId('message-input'),
      send: byId('send'),
      counter: byId('counter'),
      suggestions: byId('suggestions'),
    };
    return new Composer(parts, {
      submit: (text) => this.#submit(text),
      typed: (isEmpty) => this.#sendTyping((typing) => typing.typed(isEmpty, Date.now())),
      candidates: () =>
        this.#state.active === GENERAL
          ? this.#state.online.filter((name) => name !== this.#state.me)
          : [],
    });
  }

  /** @param {import('./state.js').Event} event */
  #dispatch(event) {
    const before = this.#state;
    this.#state = reduce(before, event);
    if (this.#state !== before) this.#draw();
  }

  /** @param {string} key */
  #open(key) {
    this.#sendTyping((typing) => typing.stop());
    this.#picker.close(false);
    this.#dispatch({ type: 'opened', key });
    this.#render();
    this.#sidebar.close();
    this.#composer.focus();
  }

  /** @param {string} text */
  #submit(text) {
    const { active: key } = this.#state;
    this.#sendTyping((typing) => typing.stop());
    const mentions = key === GENERAL ? mentionedNames(text, knownNames(this.#state)) : [];
    this.#messages.scrollToEnd();
    this.#dispatch({
      type: 'composed',
      id: crypto.randomUUID(),
      key,
      text,
      mentions,
      at: Date.now(),
    });
    this.#link.flush();
  }

  /**
   * Nothing is drawn until the server confirms: everybody sees the same reactions.
   *
   * @param {Message} message
   * @param {string} emoji
   * @param {boolean} adds
   */
  #react(message, emoji, adds) {
    const action = adds ? 'add' : 'remove';
    this.#link.send({
      type: 'reaction',
      messageId: message.id,
      emoji,
      action,
      location: message.key,
    });
  }

  /**
   * @param {(typing: TypingNotices) => 'typing' | 'stop_typing' | null} step
   * @param {string} key of the conversation
   */
  #sendTyping(step, key = this.#state.active) {
    const typing = this.#typing.get(key) ?? new TypingNotices();
    this.#typing.set(key, typing);
    const type = step(typing);
    const to = peerOf(key);
    if (type) this.#link.send(to === null ? { type } : { type: `private_${type}`, to });
  }

  /** @param {any} message from the server */
  #notify(message) {
    if (message.type === 'mention_notification') {
      const action = { label: 'Show', run: () => this.#open(GENERAL) };
      this.#notices.show(`${message.from} mentioned you: ${message.message}`, action);
    } else if (message.type === 'error' && Number.isFinite(message.retryAfter)) {
      this.#notices.countDown(String(message.message), message.retryAfter);
    } else if (message.type === 'error' && !this.#showsFailed(message.id)) {
      this.#notices.show(String(message.message));
    }
  }

  /** @param {unknown} id of a message whose failure can be read right beside it */
  #showsFailed(id) {
    return this.#state.pending.some((m) => m.id === id && m.key === this.#state.active);
  }

  #visibilityChanged() {
    const visible = document.visibilityState === 'visible';
    this.#dispatch({ type: 'visible', visible });
    // Someone is looking again: no reason to sit out the back-off.
    this.#link.start();
  }

  #tick() {
    const now = Date.now();
    this.#dispatch({ type: 'ticked', at: now });
    for (const key of this.#typing.keys()) this.#sendTyping((typing) => typing.idle(now), key);
    this.#link.checkEchoes(now);
    this.#renderConnection(now);
  }

  #render() {
    const now = Date.now();
    const state = this.#state;
    const peer = peerOf(state.active);
    const unread = unreadTotal(state);
    document.title = `${unread > 0 ? `(${unread}) ` : ''}${peer ?? 'General'} · edgeloop`;
    setText(byId('conversation-title'), peer ?? 'General');
    setText(byId('conversation-about'), aboutText(state, peer));
    setText(byId('typing'), typingText(Object.keys(conversationOf(state, state.active).typing)));
    setText(byId('people-unread'), badgeText(unread));
    this.#messages.render(state, now);
    this.#people.render(state);
    this.#composer.switchTo(
      state.active,
      peer === null ? 'Message to everyone' : `Message to ${peer}`,
    );
    this.#renderConnection(now);
  }

  /** @param {number} now */
  #renderConnection(now) {
    const { connection } = this.#state;
    setAttribute(document.body, 'data-connection', connection.phase);
    setAttribute(byId('status'), 'data-state', connection.phase);
    setText(byId('status'), connectionText(connection, now));
    // The countdown is for the eye; the ear hears of changes only.
    const spoken = { connecting: null, online: 'Online', offline: 'Offline' }[connection.phase];
    if (spoken) setText(byId('status-announcer'), spoken);
  }
}
