/** The HTTP half of the wire contract: one function per request, one kind of error. */

import { token } from './session.js';

/** How long an answer may take before we stop waiting. */
const ANSWER_TIMEOUT_MS = 30_000;

/** A request that did not succeed. `message` is fit to show to the user. */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {number} status 0 when there was no answer at all
   * @param {number} [retryAfter] seconds, from `Retry-After`
   */
  constructor(message, status, retryAfter) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/**
 * @typedef {object} Profile
 * @property {number} id
 * @property {string} name
 * @property {string} username
 * @property {string} email
 */

/** @param {{name: string, username: string, email: string, password: string}} user */
export function register(user) {
  return send('POST', '/register', { body: user });
}

/**
 * @param {{username: string, password: string}} credentials
 * @returns {Promise<string>} the token
 */
export async function login(credentials) {
  const answer = await send('POST', '/login', { body: credentials });
  if (typeof answer?.data?.token !== 'string') {
    throw new ApiError('The server gave an answer we do not understand.', 200);
  }
  return answer.data.token;
}

/** @returns {Promise<Profile>} */
export function me() {
  return send('GET', '/me', { bearer: token() });
}

/** @param {{name?: string, email?: string}} changes fields left out stay as they are */
export function updateMe(changes) {
  return send('PUT', '/me', { body: changes, bearer: token() });
}

/**
 * Seconds in a `Retry-After` header, which is a number or a date (RFC 9110, 10.2.3).
 *
 * @param {string | null} header
 * @param {number} nowMs
 * @returns {number | undefined}
 */
export function retryAfterSeconds(header, nowMs) {
  if (!header) return undefined;
  if (/^\d+$/.test(header.trim())) return Number(header);
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, Math.ceil((date - nowMs) / 1000));
}

/**
 * @param {string} method
 * @param {string} path
 * @param {{body?: object, bearer?: string | null}} options
 * @returns {Promise<any>} the JSON of a 2xx answer
 */
async function send(method, path, { body, bearer }) {
  /** @type {Record<string, string>} */
  const headers = { Accept: 'application/json' };
  if (body) headers['Content-Type'] = 'application/json';
  if (bearer) headers.Authorization = `Bearer ${bearer}`;

  let response;
  try {
    response = await fetch(path, {
      method,
      headers,
      body: body && JSON.stringify(body),
      cache: 'no-store',
      credentials: 'omit',
      signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
    });
  } catch {
    throw new ApiError('The server cannot be reached. Check your connection and try again.', 0);
  }
  const answer = await response.json().catch(() => null);
  if (response.ok) return answer;
  throw new ApiError(
    errorText(response.status, answer),
    response.status,
    retryAfterSeconds(response.headers.get('Retry-After'), serverNow(response.headers)),
  );
}

/**
 * The server's own clock at its answer: a date it gives is to be read by that, not by ours.
 *
 * @param {Headers} headers
 * @returns {number} milliseconds since the epoch
 */
function serverNow(headers) {
  const date = Date.parse(headers.get('Date') ?? '');
  return Number.isNaN(date) ? Date.now() : date;
}

/**
 * @param {number} status
 * @param {any} answer
 * @returns {string}
 */
function errorText(status, answer) {
  if (typeof answer?.error === 'string') return answer.error;
  if (typeof answer?.message === 'string') return answer.message;
  return `The server answered with status ${status}.`;
}
