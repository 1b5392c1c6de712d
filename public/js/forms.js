/** What the three forms have in common: hints, one submit at a time, errors beside the field. */

import { ApiError } from './api.js';
import { now } from './clock.js';
import { byId, el, setText } from './dom.js';
import { goTo } from './navigate.js';
import { RULES } from './rules.js';
import { takeHandover } from './session.js';
import { BLOCKED_TEXT, isStorageBlocked } from './storage.js';
import { asSentence, fieldOf } from './words.js';

/**
 * Brings a form to life. Its button is disabled in the HTML until this runs, so that no form is
 * ever sent the browser's own way.
 *
 * @param {HTMLFormElement} form
 * @param {(values: Record<string, string>) => Promise<string | null>} submit resolves with the
 *   page to go to, `null` to stay; rejects with an `ApiError`
 */
export function bindForm(form, submit) {
  const button = /** @type {HTMLButtonElement} */ (form.querySelector('button[type=submit]'));
  const label = button.textContent ?? '';
  let sending = false;

  form.addEventListener('input', ({ target }) =>
    clearFieldError(/** @type {HTMLElement} */ (target)),
  );
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (sending || button.disabled) return;
    sending = true;
    button.disabled = true;
    form.setAttribute('aria-busy', 'true');
    clearErrors(form);
    let retryAfter;
    try {
      const nextPage = await submit(valuesOf(form));
      // The button stays disabled while the next page loads.
      if (nextPage !== null) return await goTo(nextPage);
    } catch (error) {
      retryAfter = showError(form, error);
    } finally {
      form.removeAttribute('aria-busy');
      sending = false;
    }
    if (retryAfter) countDown(button, label, retryAfter);
    else button.disabled = false;
  });
  // The browser may bring the page back as it was left.
  window.addEventListener('pageshow', ({ persisted }) => {
    if (persisted) button.disabled = false;
  });
  button.disabled = false;
}

/**
 * Shows the rules of a field as a list that ticks itself off.
 *
 * @param {HTMLInputElement} input with an element `#<name>-hint` for the list
 */
export function bindHints(input) {
  const rules = RULES[input.name] ?? [];
  const items = rules.map((rule) =>
    el('li', {}, el('span', {}, rule.text), el('span', { class: 'visually-hidden' })),
  );
  byId(`${input.name}-hint`).replaceChildren(...items);
  const check = () => {
    rules.forEach((rule, index) => {
      const holds = input.value !== '' && rule.holds(input.value);
      items[index].classList.toggle('is-met', holds);
      setText(/** @type {Element} */ (items[index].lastElementChild), holds ? ' (met)' : '');
    });
  };
  input.addEventListener('input', check);
  // Browsers fill forms in after the scripts ran.
  input.addEventListener('change', check);
  check();
}

/**
 * Shows or hides a password at the touch of its button.
 *
 * @param {HTMLInputElement} input
 * @param {HTMLButtonElement} button
 */
export function bindReveal(input, button) {
  button.hidden = false;
  button.addEventListener('click', () => {
    const shown = input.type === 'text';
    input.type = shown ? 'password' : 'text';
    setText(button, shown ? 'Show' : 'Hide');
    button.setAttribute('aria-label', shown ? 'Show password' : 'Hide password');
  });
}

/**
 * Shows what the page before left to say, and what this browser will not do.
 *
 * @returns {import('./session.js').Handover}
 */
export function showHandover() {
  const handover = takeHandover();
  if (handover.message) {
    byId('status').classList.toggle('is-error', handover.kind === 'error');
    setText(byId('status'), handover.message);
  } else if (isStorageBlocked()) {
    setText(byId('status'), BLOCKED_TEXT);
  }
  return handover;
}

/** @param {HTMLFormElement} form */
function valuesOf(form) {
  /** @type {Record<string, string>} */
  const values = {};
  for (const [name, value] of new FormData(form)) {
    // Spaces around a password belong to it; around anything else they are slips.
    values[name] = name === 'password' ? String(value) : String(value).trim();
  }
  return values;
}

/**
 * @param {HTMLFormElement} form
 * @param {unknown} error
 * @returns {number | undefined} seconds to wait before the next attempt
 */
function showError(form, error) {
  if (!(error instanceof ApiError)) throw error;
  const wait = error.status === 429 || error.status === 503 ? error.retryAfter : undefined;
  const names = [...form.elements].map((element) => /** @type {HTMLInputElement} */ (element).name);
  const field =
    error.status === 400 || error.status === 409
      ? fieldOf(error.message, names.filter(Boolean))
      : null;
  // The words stand where the eye is: below the field they are about, or else above the button.
  const box = byId('form-error');
  if (field) {
    const input = /** @type {HTMLInputElement} */ (form.elements.namedItem(field));
    input.setAttribute('aria-invalid', 'true');
    input.setAttribute('aria-errormessage', 'form-error');
    input.closest('.field')?.append(box);
    input.focus();
  } else {
    form.querySelector('button[type=submit]')?.before(box);
  }
  setText(box, wait ? `${asSentence(error.message)} Try again in ${wait} s.` : error.message);
  return wait;
}

/** @param {HTMLFormElement} form */
function clearErrors(form) {
  setText(byId('form-error'), '');
  setText(byId('status'), '');
  byId('status').classList.remove('is-error');
  for (const element of form.elements) clearFieldError(/** @type {HTMLElement} */ (element));
}

/** @param {HTMLElement} field */
function clearFieldError(field) {
  field.removeAttribute('aria-invalid');
  field.removeAttribute('aria-errormessage');
}

/**
 * @param {HTMLButtonElement} button
 * @param {string} label what it says when it may be pressed again
 * @param {number} seconds
 */
function countDown(button, label, seconds) {
  const until = now() + seconds * 1000;
  const tick = () => {
    const left = Math.ceil((until - now()) / 1000);
    button.disabled = left > 0;
    setText(button, left > 0 ? `${label} (in ${left} s)` : label);
    if (left > 0) setTimeout(tick, 250);
  };
  tick();
}
