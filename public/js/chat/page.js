/** The chat page: ties the state, the connection and the views together. */

import { now } from '../clock.js';
import { byId, oncePerFrame, setAttribute, setText } from '../dom.js';
import { forgetKept, keep, takeKept } from '../kept.js';
import { askToSignIn, signOut } from '../session.js';
import { BLOCKED_TEXT, isStorageBlocked } from '../storage.js';
import { Composer } from './composer.js';
import { GENERAL, conversationOf, mentioning, peerOf } from './conversation.js';
import { EmojiPicker } from './emoji-picker.js';
import { ChatLink, NOTICE_ID, UNASKED_FOR } from './link.js';
import { mentionedNames } from './mentions.js';
import { MessagesView } from './messages-view.js';
import { Notices } from './notices.js';
import { PeopleView } from './people-view.js';
import { Sidebar } from './sidebar.js';
import { initialState, knownNames, reduce, unreadTotal } from './state.js';
import { aboutText, badgeText, connectionText, typingText, unreadText } from './text.js';
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
  #state = initialState();
  /** The user's number, which no change of name changes; 0 until the server has said it. */
  #userId = 0;
  #link;
  #sidebar;
  #messages;
  #people;
  #composer;

  constructor() {
    this.#link = new ChatLink({
      state: () => this.#state,
      dispatch: (event) => this.#dispatch(event),
      onMessage: (message) => this.#notify(message),
      onIdentified: ({ id }) => this.#identified(id),
      onSessionEnd: () => {
        this.#keepUnsent();
        askToSignIn('Your session has ended. Please sign in again.');
      },
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
    byId('logout').addEventListener('click', () => {
      this.#link.leave();
      this.#userId = 0;
      signOut();
      location.assign('/');
    });
    byId('reconnect').addEventListener('click', () => {
      this.#link.start();
      this.#composer.focus();
    });
    document.addEventListener('visibilitychange', () => this.#visibilityChanged());
    window.addEventListener('pagehide', () => this.#keepUnsent());
    // The page is back as it was, with all that was kept of it.
    window.addEventListener('pageshow', ({ persisted }) => persisted && forgetKept());
    this.#visibilityChanged();
    this.#render();
    this.#link.start();
    setInterval(() => this.#tick(), TICK_MS);
    if (isStorageBlocked()) this.#notices.show(BLOCKED_TEXT);
  }

  /**
   * The server has said who the user is: what was kept for them comes back.
   *
   * @param {number} userId
   */
  #identified(userId) {
    if (userId === this.#userId) return;
    this.#userId = userId;
    const kept = takeKept('chat', userId);
    if (kept === null) return;
    this.#dispatch({ type: 'restored', kept, at: Date.now() });
    this.#render();
    this.#composer.restore(kept.drafts);
    this.#link.submit();
  }

  /** Keeps what is written and not sent for the time after a new sign-in, or a reload. */
  #keepUnsent() {
    const { active, pending } = this.#state;
    const drafts = this.#composer.drafts();
    const keys = [...drafts.map(([key]) => key), ...pending.map(({ key }) => key)];
    if (this.#userId === 0 || keys.length === 0) return;
    keep('chat', this.#userId, { active, keys, pending, drafts });
  }

  /** @returns {import('./message-view.js').Actions} */
  #messageActions() {
    return {
      react: (message, emoji, adds) => this.#react(message, emoji, adds),
      pick: (message, button) =>
        this.#picker.toggle(button, (emoji) => this.#react(message, emoji, true)),
      retry: ({ id }) => {
        this.#dispatch({ type: 'retried', id });
        this.#link.submit();
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
      typed: (isEmpty) => this.#sendTyping((typing) => typing.typed(isEmpty, now())),
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
    this.#link.submit();
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
    if (!type) return;
    const id = NOTICE_ID;
    this.#link.send(to === null ? { type, id } : { type: `private_${type}`, id, to });
  }

  /** @param {any} message from the server */
  #notify(message) {
    if (message.type === 'mention_notification') {
      const action = { label: 'Show', run: () => this.#showMention(message) };
      this.#notices.show(`${message.from} mentioned you:`, String(message.message), action);
      return;
    }
    if (message.type !== 'error' || UNASKED_FOR.includes(message.id)) return;
    if (Number.isFinite(message.retryAfter)) {
      this.#notices.countDown(String(message.message), message.retryAfter);
    } else if (!this.#showsFailed(message.id)) {
      this.#notices.show(String(message.message));
    }
  }

  /** @param {any} notification */
  #showMention(notification) {
    this.#open(GENERAL);
    this.#messages.reveal(mentioning(conversationOf(this.#state, GENERAL), notification));
  }

  /** @param {unknown} id of a message whose failure can be read right beside it */
  #showsFailed(id) {
    return this.#state.pending.some((m) => m.id === id && m.key === this.#state.active);
  }

  #visibilityChanged() {
    const visible = document.visibilityState === 'visible';
    this.#dispatch({ type: 'visible', visible });
    // Someone is looking again: no reason to sit out the back-off.
    if (visible) this.#link.check();
  }

  #tick() {
    const at = now();
    this.#dispatch({ type: 'ticked', at });
    for (const key of this.#typing.keys()) this.#sendTyping((typing) => typing.idle(at), key);
    this.#link.tick(at);
    this.#renderConnection();
  }

  #render() {
    const state = this.#state;
    const peer = peerOf(state.active);
    const unread = unreadTotal(state);
    document.title = `${unread > 0 ? `(${unread}) ` : ''}${peer ?? 'General'} · edgeloop`;
    setText(byId('conversation-title'), peer ?? 'General');
    setText(byId('conversation-about'), aboutText(state, peer));
    setText(byId('typing'), typingText(Object.keys(conversationOf(state, state.active).typing)));
    setText(byId('username'), state.me);
    setText(byId('people-unread'), badgeText(unread));
    const toggle = 'Conversations and people';
    setAttribute(
      byId('people-toggle'),
      'aria-label',
      unread > 0 ? `${toggle}, ${unreadText(unread)}` : toggle,
    );
    this.#messages.render(state, Date.now());
    this.#people.render(state);
    this.#composer.switchTo(
      state.active,
      peer === null ? 'Message to everyone' : `Message to ${peer}`,
    );
    this.#renderConnection();
  }

  #renderConnection() {
    const { connection } = this.#state;
    const reason = connection.phase === 'offline' ? connection.reason : undefined;
    setAttribute(document.body, 'data-connection', connection.phase);
    setAttribute(byId('status'), 'data-state', connection.phase);
    const text = connectionText(connection, now());
    setText(byId('status'), text);
    byId('reconnect').hidden = reason === undefined;
    // The countdown is for the eye; the ear hears of changes only.
    const offline = reason === undefined ? 'Offline' : text;
    const spoken = { connecting: null, online: 'Online', offline }[connection.phase];
    if (spoken) setText(byId('status-announcer'), spoken);
  }
}
