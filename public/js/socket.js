/** A WebSocket that comes back: back-off with jitter, no DOM. */

import { backoffMs } from './backoff.js';

/** A connection that lasted this long was a good one: the next failure starts the back-off anew. */
const STABLE_MS = 5_000;
/** How long an opening handshake may take. */
const OPEN_TIMEOUT_MS = 15_000;

/**
 * @typedef {{phase: 'connecting'} | {phase: 'online'}
 *   | {phase: 'offline', retryAt: number | null}} Connection
 *   `retryAt` is in milliseconds since the epoch; `null` waits for the network to come back
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
  #failures = 0;
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

  /** Connects now, whatever the back-off says. Does nothing while connected or connecting. */
  start() {
    this.#wanted = true;
    if (this.#socket) return;
    clearTimeout(this.#timer);
    this.#connect();
  }

  /** Gives the present connection up and makes a new one at once. */
  restart() {
    this.#drop(1000);
    this.start();
  }

  /** The network is gone: waits for `start`. */
  pause() {
    clearTimeout(this.#timer);
    this.#drop(1000);
    if (this.#wanted) this.#callbacks.onConnection({ phase: 'offline', retryAt: null });
  }

  /** Closes for good. */
  stop() {
    this.#wanted = false;
    clearTimeout(this.#timer);
    this.#drop(1000);
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
      this.#openedAt = Date.now();
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
      this.#retryLater(opened);
      if (opened) this.#callbacks.onClosed(code, reason);
      else this.#callbacks.onRefused();
    });
  }

  /** @param {boolean} opened whether the connection that ended had been open */
  #retryLater(opened) {
    const stable = opened && Date.now() - this.#openedAt >= STABLE_MS;
    this.#failures = stable ? 1 : this.#failures + 1;
    const delay = backoffMs(this.#failures, Math.random());
    this.#timer = setTimeout(() => this.#connect(), delay);
    this.#callbacks.onConnection({ phase: 'offline', retryAt: Date.now() + delay });
  }

  /** @param {number} code */
  #drop(code) {
    clearTimeout(this.#openTimer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(code);
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
