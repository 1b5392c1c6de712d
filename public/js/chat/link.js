/** The chat's half of the connection: joins, hands messages over in order, notices a dead line. */

import { ApiError, me } from '../api.js';
import { token } from '../session.js';
import { LiveSocket } from '../socket.js';
import { peerOf } from './conversation.js';
import { queued } from './state.js';

/** Group messages asked for on arrival; a server without history ignores the wish. */
const HISTORY_COUNT = 100;
/** A group message that is not echoed in this time says that the connection is dead. */
const ECHO_TIMEOUT_MS = 15_000;
/** The close code of a token that expired during a connection. */
const CLOSE_TOKEN_EXPIRED = 4001;

/**
 * @typedef {import('./state.js').State} State
 *
 * @typedef {object} LinkCallbacks
 * @property {() => State} state
 * @property {(event: import('./state.js').Event) => void} dispatch
 * @property {(message: any) => void} onMessage after the state knows of it
 * @property {() => void} onSessionEnd
 */

export class ChatLink {
  /** @type {Map<string, number>} when each unconfirmed message was handed over */
  #dispatchedAt = new Map();
  #socket;
  #callbacks;

  /** @param {LinkCallbacks} callbacks */
  constructor(callbacks) {
    this.#callbacks = callbacks;
    this.#socket = new LiveSocket(socketUrl(), () => [`Bearer.${token()}`], {
      onConnection: (connection) => this.#connectionChanged(connection),
      onMessage: (message) => {
        callbacks.dispatch({ type: 'received', message, at: Date.now() });
        callbacks.onMessage(message);
      },
      onRefused: () => this.#checkSession(),
      onClosed: (code) => {
        if (code === CLOSE_TOKEN_EXPIRED) this.#endSession();
      },
    });
    window.addEventListener('online', () => this.#socket.start());
    window.addEventListener('offline', () => this.#socket.pause());
    window.addEventListener('pagehide', () => this.#socket.stop());
    window.addEventListener('pageshow', ({ persisted }) => persisted && this.#socket.start());
  }

  /** Connects now, whatever the back-off says. */
  start() {
    this.#socket.start();
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
    this.#socket.send(message);
  }

  /** Hands the queued messages to the connection, in order; without one they stay queued. */
  flush() {
    for (const message of queued(this.#callbacks.state())) {
      if (!this.#socket.send(wireMessage(message))) return;
      this.#dispatchedAt.set(message.id, Date.now());
      this.#callbacks.dispatch({ type: 'dispatched', id: message.id, at: Date.now() });
    }
  }

  /**
   * Replaces a connection that no longer answers. To be called now and then.
   *
   * @param {number} now
   */
  checkEchoes(now) {
    const isLate = (/** @type {import('./conversation.js').Message} */ { id, delivery }) =>
      delivery === 'sending' && now - (this.#dispatchedAt.get(id) ?? now) >= ECHO_TIMEOUT_MS;
    if (this.#callbacks.state().pending.some(isLate)) this.#socket.restart();
  }

  /** @param {import('../socket.js').Connection} connection */
  #connectionChanged(connection) {
    this.#callbacks.dispatch({ type: 'connection', connection });
    this.#dispatchedAt.clear();
    if (connection.phase !== 'online') return;
    this.#socket.send(joinMessage(this.#callbacks.state()));
    this.flush();
  }

  /** A handshake failed. Pages cannot see why, but `/me` says whether the token is still good. */
  async #checkSession() {
    try {
      await me();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.status === 401 || error.status === 404) this.#endSession();
    }
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
