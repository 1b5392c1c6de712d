/** A WebSocket that comes back: back-off with jitter, no DOM. */

import { Backoff } from './backoff.js';
import { now } from './clock.js';

/** How long an opening handshake may take. */
const OPEN_TIMEOUT_MS = 15_000;

/** The server does not want this client, for a reason that will not pass by itself. */
const CLOSE_POLICY = 1008;

/**
 * @typedef {{phase: 'connecting'} | {phase: 'online'}
 *   | {phase: 'offline', retryAt: number | null, reason?: string}} Connection
 *   `retryAt` is of the page's clock; with `null` it waits for the network to come back, or, if
 *   there is a `reason`, for the user
 */

/**
 * @typedef {object} Callbacks
 * @property {(connection: Connection) => void} onConnection
 * @property {(message: any) => void} onMessage a JSON text message, parsed
 * @property {() => void} onRefused a handshake failed; pages cannot see why (401 or another)
 * @property {(code: number, reason: string) => void} onClosed an open connection ended
 */

/** Keeps one WebSocket open until told otherwise. */
export class LiveSocket {
  /** @type {WebSocket | null} */ #socket = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #openTimer;
  #backoff = new Backoff();
  #openedAt = 0;
  #wanted = false;
  #url;
  #protocols;
  #callbacks;

  /**
   * @param {string} url
   * @param {() => string[]} protocols asked for again at each attempt: a token may have changed
   * @param {Callbacks} callbacks
   */
  constructor(url, protocols, callbacks) {
    this.#url = url;
    this.#protocols = protocols;
    this.#callbacks = callbacks;
  }

  get isOnline() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Whether it comes back by itself when the connection ends. */
  get isWanted() {
    return this.#wanted;
  }

  /** Connects now, whatever the back-off says. Does nothing while connected or connecting. */
  start() {
    this.#wanted = true;
    this.resume();
  }

  /** As `start`, unless it was told to stop or the server wants no more of us. */
  resume() {
    if (!this.#wanted || this.#socket) return;
    clearTimeout(this.#timer);
    this.#connect();
  }

  /** Gives up a connection that does not answer, and comes back like from any that ended. */
  abandon() {
    if (!this.#socket) return;
    this.#drop();
    // It was of no use: as good as one that did not open.
    this.#retryLater({ openMs: 0 });
  }

  /** The network is gone: waits for `resume`. */
  pause() {
    if (!this.#wanted) return;
    clearTimeout(this.#timer);
    this.#drop();
    this.#callbacks.onConnection({ phase: 'offline', retryAt: null });
  }

  /** Closes for good. */
  stop() {
    this.#wanted = false;
    clearTimeout(this.#timer);
    this.#drop();
  }

  /**
   * Closes, and waits for `start`.
   *
   * @param {string} reason fit to show to the user
   */
  halt(reason) {
    this.stop();
    this.#callbacks.onConnection({ phase: 'offline', retryAt: null, reason });
  }

  /**
   * @param {object} message
   * @returns {boolean} whether it was handed to an open connection
   */
  send(message) {
    if (!this.#socket || !this.isOnline) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  #connect() {
    this.#callbacks.onConnection({ phase: 'connecting' });
    const socket = new WebSocket(this.#url, this.#protocols());
    this.#socket = socket;
    // Each listener asks whether its socket is still the current one: a dropped one stays silent.
    const current = () => this.#socket === socket;
    let opened = false;
    this.#openTimer = setTimeout(() => socket.close(), OPEN_TIMEOUT_MS);
    socket.addEventListener('open', () => {
      if (!current()) return;
      clearTimeout(this.#openTimer);
      opened = true;
      this.#openedAt = now();
      this.#callbacks.onConnection({ phase: 'online' });
    });
    socket.addEventListener('message', ({ data }) => {
      const message = current() ? parse(data) : null;
      if (message) this.#callbacks.onMessage(message);
    });
    socket.addEventListener('close', ({ code, reason }) => {
      if (!current()) return;
      clearTimeout(this.#openTimer);
      this.#socket = null;
      this.#ended(opened, code, reason);
    });
  }

  /**
   * @param {boolean} opened whether the connection that ended had been open
   * @param {number} code
   * @param {string} reason
   */
  #ended(opened, code, reason) {
    if (opened && code === CLOSE_POLICY) {
      this.halt(reason || 'the server has ended the connection');
    } else {
      this.#retryLater({ code, openMs: opened ? now() - this.#openedAt : 0 });
    }
    if (opened) this.#callbacks.onClosed(code, reason);
    else this.#callbacks.onRefused();
  }

  /** @param {{code?: number, openMs: number}} end */
  #retryLater(end) {
    const delay = this.#backoff.ended(end, Math.random());
    this.#timer = setTimeout(() => this.#connect(), delay);
    this.#callbacks.onConnection({ phase: 'offline', retryAt: now() + delay });
  }

  #drop() {
    clearTimeout(this.#openTimer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(1000);
  }
}

/**
 * @param {unknown} data
 * @returns {any} the message, or `null` for what is not a JSON object with a type
 */
function parse(data) {
  if (typeof data !== 'string') return null;
  try {
    const message = JSON.parse(data);
    return typeof message?.type === 'string' ? message : null;
  } catch {
    return null;
  }
}
