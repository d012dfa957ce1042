// DOM elements made from data: text is always text, never markup.

// What the server and the page must agree on: parameters, lengths of lists.
export const settings = JSON.parse(document.getElementById("page-settings").textContent);

export const find = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") element.className = value;
    else if (name === "on") for (const [event, handler] of Object.entries(value)) element.addEventListener(event, handler);
    else if (name === "style") for (const [property, setting] of Object.entries(value)) element.style.setProperty(property, setting);
    else if (name in element && name !== "list" && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// A name in an element of its own: its writing direction does not affect the text around it.
export const bdi = (text, properties = {}) => make("bdi", { title: text.slice(0, 300), ...properties }, text);

const shownItems = new WeakMap();

// Show items in a parent and replace only those that changed: focus and layout stay.
export function update(parent, items, keyOf, draw) {
  const before = shownItems.get(parent) ?? new Map();
  const now = new Map();
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = String(keyOf(item));
    const content = JSON.stringify(item);
    const old = before.get(key);
    let element = old?.element;
    if (old?.content !== content) {
      element = draw(item);
      if (old) {
        const focused = old.element.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
        if (place === old.element) place = element;
        old.element.replaceWith(element);
        if (focused) element.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
      }
    }
    if (element !== place) parent.insertBefore(element, place);
    else place = place.nextElementSibling;
    now.set(key, { element, content });
  }
  for (const [key, { element }] of before) if (!now.has(key)) element.remove();
  shownItems.set(parent, now);
}

const shownValues = new WeakMap();

// Return whether a value differs from the one that the element shows.
export function isNew(element, value) {
  const content = JSON.stringify(value);
  if (shownValues.get(element) === content) return false;
  shownValues.set(element, content);
  return true;
}

// Set text only where it differs, so that a screen reader announces it once.
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
