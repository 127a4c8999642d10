// What is shown and how: elements, addresses, times. Never makes markup of text.

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const shortDay = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const longDay = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
export const dayKey = (date) => date.toDateString();

export function dayOf(date) {
  const today = new Date();
  if (dayKey(date) === dayKey(today)) return "";
  return (date.getFullYear() === today.getFullYear() ? shortDay : longDay).format(date);
}

export const utc = (date) => date.toISOString().replace("T", " ").replace(/(\.000)?Z$/, " UTC");

export function timeElement(instant, text) {
  const date = new Date(instant);
  if (Number.isNaN(date.getTime())) return el("time", {}, text ?? "");
  return el("time", { datetime: instant, title: utc(date) }, text ?? clock.format(date));
}

export const byId = (id) => document.getElementById(id);

/** An element with attributes (null ones are left out) and children; strings become text nodes. */
export function el(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** The address if it is http(s), else null. Nothing else ever becomes an href or a src. */
export function safeUrl(text) {
  try {
    const url = new URL(text);
    return url.protocol === "http:" || url.protocol === "https:" ? url.href : null;
  } catch {
    return null;
  }
}

export function link(url, ...children) {
  const href = safeUrl(url);
  if (!href) return el("span", {}, children);
  return el("a", { href, target: "_blank", rel: "noopener noreferrer nofollow" }, children);
}

/** Makes the children of a list these elements in this order, moving as little as possible. */
export function reconcile(list, elements) {
  const wanted = new Set(elements);
  for (const child of [...list.children]) if (!wanted.has(child)) child.remove();
  elements.forEach((element, place) => {
    const there = list.children[place];
    if (there !== element) list.insertBefore(element, there ?? null);
  });
}

/** With a space between, so that what is read aloud or copied is not one long word. */
export const spaced = (nodes) => nodes.flatMap((node, place) => (place ? [" ", node] : [node]));
