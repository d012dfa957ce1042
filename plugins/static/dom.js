// Elements made from data: text is always text, never markup.

export const find = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") element.className = value;
    else if (name === "on") for (const [event, act] of Object.entries(value)) element.addEventListener(event, act);
    else if (name === "style") for (const [key, set] of Object.entries(value)) element.style.setProperty(key, set);
    else if (name in element && name !== "list" && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// A name that others chose, kept apart from the direction of the text around it.
export const name = (text, properties = {}) => make("bdi", { title: text.slice(0, 300), ...properties }, text);

const shown = new WeakMap();

// Show items in a parent, and touch only those that changed: focus and layout stay.
export function keep(parent, items, key, draw) {
  const before = shown.get(parent) ?? new Map();
  const now = new Map();
  let place = parent.firstElementChild;
  for (const item of items) {
    const id = String(key(item));
    const said = JSON.stringify(item);
    const old = before.get(id);
    let element = old?.element;
    if (old?.said !== said) {
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
    now.set(id, { element, said });
  }
  for (const [id, { element }] of before) if (!now.has(id)) element.remove();
  shown.set(parent, now);
}

export function forget(parent) {
  shown.delete(parent);
  parent.replaceChildren();
}

// Change text only where it differs, so that nothing is announced twice.
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
