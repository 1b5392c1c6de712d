/**
 * The few DOM helpers the pages share. Text reaches the document through `textContent` and
 * text nodes alone, so nothing a user writes can become markup.
 */

/**
 * Makes an element. Names starting with `on` become listeners, `true` an empty attribute;
 * `false`, `null` and `undefined` are left out. Strings among the children become text nodes.
 *
 * @param {string} tag
 * @param {Record<string, unknown>} [attributes]
 * @param {...(Node | string | null | false)} children
 * @returns {HTMLElement}
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), /** @type {any} */ (value));
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(
    .../** @type {(Node | string)[]} */ (children.filter((child) => child || child === '')),
  );
  return element;
}

/**
 * The element with this id. A page and its script are written together, so a missing one is a bug.
 *
 * @param {string} id
 * @returns {any}
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no element #${id}`);
  return element;
}

/**
 * Whether a key is the input method's: with it the user picks a word, or gives one up. Safari ends
 * the composition before it reports the key that did; the code is all that is left to tell.
 *
 * @param {KeyboardEvent} event
 * @returns {boolean}
 */
export function isForInputMethod({ isComposing, keyCode }) {
  return isComposing || keyCode === 229;
}

/**
 * Sets the text only when it differs: rewriting the same words makes screen readers repeat them.
 *
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Sets or removes an attribute, touching the document only for a change.
 *
 * @param {Element} element
 * @param {string} name
 * @param {string | boolean} value `false` removes the attribute, `true` sets it empty
 */
export function setAttribute(element, name, value) {
  if (value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value === true ? '' : value)) {
    element.setAttribute(name, value === true ? '' : value);
  }
}

/**
 * Wraps a function so that many calls in a row run it once, before the next frame. The timeout
 * stands in for the frame that a hidden tab never gets.
 *
 * @param {() => void} draw
 * @returns {() => void}
 */
export function oncePerFrame(draw) {
  let pending = false;
  return () => {
    if (pending) return;
    pending = true;
    const run = () => {
      if (!pending) return;
      pending = false;
      draw();
    };
    requestAnimationFrame(run);
    setTimeout(run, 100);
  };
}

/**
 * Makes the children of `parent` exactly `nodes`, in order, moving as few as possible.
 *
 * @param {Element} parent
 * @param {Node[]} nodes
 */
export function arrange(parent, nodes) {
  const wanted = new Set(nodes);
  for (const child of [...parent.childNodes]) if (!wanted.has(child)) child.remove();
  let next = parent.firstChild;
  for (const node of nodes) {
    if (node === next) next = next.nextSibling;
    else parent.insertBefore(node, next);
  }
}
