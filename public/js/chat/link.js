/**
 * The chat's half of the connection: joins, asks who the user is, hands messages over in order,
 * and notices a line that is dead.
 *
 * A page cannot send pings. What it asks for a sign of life is a `private_stop_typing` to the user
 * themself: it comes back to this user alone, means nothing to a page that shows it, and costs one
 * typing notice, whereas a `join` would cost ten and bring the whole list of users each time.
 */

import { ApiError, me } from '../api.js';
import { now } from '../clock.js';
import { Heartbeat } from '../heartbeat.js';
import { token } from '../session.js';
import { LiveSocket } from '../socket.js';
import { GENERAL, peerOf } from './conversation.js';
import { queued } from './state.js';

/** Group messages asked for on arrival; a server without history ignores the wish. */
const HISTORY_COUNT = 100;
/** A group message that is not echoed in this time says that the connection is dead. */
const ECHO_TIMEOUT_MS = 15_000;
/** `/me` is asked again after this long when it could not be answered. */
const IDENTIFY_AGAIN_S = 5;
/** The close code of a session that is over. */
const CLOSE_SESSION_OVER = 4001;

const JOIN_ID = 'join';
const QUESTION_ID = 'question';
/** The `id` of typing notices. */
export const NOTICE_ID = 'notice';

/** The page sends these by itself: that one was refused is no news to the user. */
export const UNASKED_FOR = [QUESTION_ID, NOTICE_ID];

/**
 * @typedef {import('./state.js').State} State
 *
 * @typedef {object} LinkCallbacks
 * @property {() => State} state
 * @property {(event: import('./state.js').Event) => void} dispatch
 * @property {(message: any) => void} onMessage after the state knows of it
 * @property {(profile: import('../api.js').Profile) => void} onIdentified after the state knows
 * @property {() => void} onSessionEnd
 */

export class ChatLink {
  /** @type {Map<string, number>} when each unconfirmed group message was handed over */
  #dispatchedAt = new Map();
  /** @type {string[][]} private messages that the answer to each question confirms */
  #asked = [];
  /** @type {string[]} private messages handed over since the last question */
  #unasked = [];
  #heartbeat = new Heartbeat();
  /** Whether the server has confirmed the user's name on this connection. */
  #isKnown = false;
  #isIdentifying = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #identifyTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #joinTimer;
  #socket;
  #callbacks;

  /** @param {LinkCallbacks} callbacks */
  constructor(callbacks) {
    this.#callbacks = callbacks;
    this.#socket = new LiveSocket(socketUrl(), () => [`Bearer.${token()}`], {
      onConnection: (connection) => this.#connectionChanged(connection),
      onMessage: (message) => this.#received(message),
      onRefused: () => this.#identify(),
      onClosed: (code) => {
        if (code === CLOSE_SESSION_OVER) this.#endSession();
        // Policy may be a new name: the user should see it, connected or not.
        else if (!this.#socket.isWanted) this.#identify();
      },
    });
    window.addEventListener('online', () => this.check());
    window.addEventListener('offline', () => this.#socket.pause());
    window.addEventListener('pagehide', () => this.#socket.stop());
    window.addEventListener('pageshow', ({ persisted }) => persisted && this.#socket.start());
    document.addEventListener('resume', () => this.check());
  }

  /** Connects now, whatever the back-off says, and asks who the user is. */
  start() {
    this.#socket.start();
    this.#identify();
  }

  /** Somebody looks at the page, or the network changed: is the connection still there? */
  check() {
    if (this.#socket.isOnline) this.#ask();
    else this.#socket.resume();
  }

  /** Says good-bye and closes for good. */
  leave() {
    this.#socket.send({ type: 'leave' });
    this.#socket.stop();
  }

  /**
   * Sends what is worth nothing later, such as a typing notice: dropped while offline.
   *
   * @param {object} message
   */
  send(message) {
    if (this.#isKnown) this.#socket.send(message);
  }

  /** The user wants something sent: also a server that has sent us away is asked again. */
  submit() {
    if (!this.#socket.isWanted) this.#socket.start();
    this.#flush();
  }

  /**
   * Looks after the connection. To be called now and then.
   *
   * @param {number} at of the page's clock
   */
  tick(at) {
    if (!this.#socket.isOnline) return;
    const isLate = (/** @type {import('./conversation.js').Message} */ { id, delivery }) =>
      delivery === 'sending' && at - (this.#dispatchedAt.get(id) ?? at) >= ECHO_TIMEOUT_MS;
    const beat = this.#heartbeat.check(at);
    if (beat === 'dead' || this.#callbacks.state().pending.some(isLate)) this.#socket.abandon();
    else if (beat === 'ask') this.#ask();
  }

  /** Hands over what waits, oldest first. */
  #flush() {
    if (!this.#isKnown) return;
    for (const message of queued(this.#callbacks.state())) {
      if (!this.#socket.send(wireMessage(message))) return;
      if (message.key === GENERAL) this.#dispatchedAt.set(message.id, now());
      else this.#unasked.push(message.id);
      this.#callbacks.dispatch({ type: 'dispatched', id: message.id, at: Date.now() });
    }
    // Nothing confirms a private message but what is answered after it.
    if (this.#unasked.length > 0) this.#ask();
  }

  /** Asks the server for a sign of life. What was sent before has reached it when that comes. */
  #ask() {
    const { me: to } = this.#callbacks.state();
    const question = { type: 'private_stop_typing', id: QUESTION_ID, to };
    if (!this.#socket.send(question)) return;
    this.#heartbeat.asked(now());
    this.#asked.push(this.#unasked);
    this.#unasked = [];
  }

  /** @param {any} message */
  #received(message) {
    this.#heartbeat.heard(now());
    this.#callbacks.dispatch({ type: 'received', message, at: now() });
    const { type, id, from, username } = message;
    const { me: name, online, pending } = this.#callbacks.state();
    if (type === 'users' && !this.#isKnown) {
      // The list has us in it. If not under the name we know, that was given up elsewhere.
      if (online.includes(name)) this.#known();
      else this.#identify();
    } else if (type === 'private_stop_typing' && from === name) {
      this.#answered();
    } else if (type === 'error' && id === QUESTION_ID) {
      // A refusal answers as well: it comes behind all that was sent before.
      this.#answered();
    } else if (type === 'error' && id === JOIN_ID && Number.isFinite(message.retryAfter)) {
      this.#joinTimer = setTimeout(() => this.#join(), message.retryAfter * 1000);
    } else if (type === 'message' && username !== name && pending.some((m) => m.id === id)) {
      // Our own words under another name: is it ours?
      this.#identify();
    }
    this.#callbacks.onMessage(message);
  }

  #answered() {
    const ids = this.#asked.shift() ?? [];
    if (ids.length > 0) this.#callbacks.dispatch({ type: 'arrived', ids });
  }

  #known() {
    this.#isKnown = true;
    this.#flush();
  }

  /** @param {import('../socket.js').Connection} connection */
  #connectionChanged(connection) {
    clearTimeout(this.#joinTimer);
    this.#dispatchedAt.clear();
    this.#asked = [];
    this.#unasked = [];
    this.#isKnown = false;
    this.#callbacks.dispatch({ type: 'connection', connection });
    if (connection.phase !== 'online') return;
    this.#heartbeat.opened(now());
    this.#join();
  }

  #join() {
    this.#socket.send({ ...joinMessage(this.#callbacks.state()), id: JOIN_ID });
  }

  /** Asks who the token belongs to: the name is the server's to say, and may have changed. */
  async #identify() {
    if (this.#isIdentifying) return;
    this.#isIdentifying = true;
    clearTimeout(this.#identifyTimer);
    try {
      const profile = await me();
      this.#callbacks.dispatch({ type: 'identified', username: profile.username });
      this.#callbacks.onIdentified(profile);
      if (this.#socket.isOnline) this.#known();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.#notIdentified(error);
    } finally {
      this.#isIdentifying = false;
    }
  }

  /** @param {ApiError} error */
  #notIdentified({ status, message, retryAfter }) {
    if (status === 401 || status === 404) return this.#endSession();
    if (status === 403) return this.#socket.halt(message);
    // A failed handshake asks again; an open connection waits for the answer.
    const wait = (retryAfter ?? IDENTIFY_AGAIN_S) * 1000;
    this.#identifyTimer = setTimeout(() => this.#socket.isOnline && this.#identify(), wait);
  }

  #endSession() {
    this.#socket.stop();
    this.#callbacks.onSessionEnd();
  }
}

/** @returns {string} */
function socketUrl() {
  return `${location.protocol === 'http:' ? 'ws:' : 'wss:'}//${location.host}/ws`;
}

/**
 * The first time recent messages are asked for, later those missed.
 *
 * @param {State} state
 */
function joinMessage({ seq, epoch }) {
  if (seq === null) return { type: 'join', history: HISTORY_COUNT };
  return epoch ? { type: 'join', since: seq, epoch } : { type: 'join', since: seq };
}

/** @param {import('./conversation.js').Message} message */
function wireMessage({ id, key, text, mentions }) {
  const to = peerOf(key);
  if (to === null) return { type: 'message', id, message: text, mentions };
  return { type: 'private_message', id, to, message: text };
}
