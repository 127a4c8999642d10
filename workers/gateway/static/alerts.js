// What has become of alerts: read from the gateway once the position in the feed is known, and then
// from the feed. Both tell of the same events, which are known by their ids.

import { byId, dayOf, el, link, reconcile, setText, spaced, timeElement } from "./dom.js";

const FEW = 3; // shown until more are asked for
const MAX_ALERTS = 50;
const TITLE_CHARS = 150;

const alerts = new Map(); // alert id -> a record; a record is replaced, never changed
let isRead = false;
let reading = 0; // which answer is waited for: an older one says what is forgotten

export function forgetAlerts() {
  alerts.clear();
  isRead = false;
  reading += 1;
}

/** All alerts, unless they are known. If they can't be read, the next position is another try. */
export async function readAlerts(ask) {
  if (isRead) return;
  isRead = true;
  const ours = ++reading;
  try {
    const answer = await ask(`/v1/alerts?limit=${MAX_ALERTS}`, { cache: "no-store" });
    const listed = answer.ok ? (await answer.json()).alerts : [];
    if (ours === reading) for (const alert of listed) takeListed(alert);
  } catch {
    if (ours === reading) isRead = false;
  }
}

function takeListed({ alert, ...listed }) {
  const known = new Set(listed.history.map(({ id }) => id));
  const since = (alerts.get(alert)?.history ?? []).filter(({ id }) => !known.has(id));
  const { entry, entries } = since.length ? alerts.get(alert) : listed;
  alerts.set(alert, { ...listed, entry, entries, history: [...listed.history, ...since] });
}

/** One event of an alert, once. say: tells those who listen to the page. */
export function takeAlert({ event, sent }, say) {
  const { alert, page, entry, entries = [], rule, reason } = event.data;
  const before = alerts.get(alert);
  if (before?.history.some(({ id }) => id === event.id)) return;
  const change = { id: event.id, state: event.type.split(".").pop(), reason, at: sent ?? event.time };
  const record = { lag: null, ...before, page, entry, entries, rule, history: [...(before?.history ?? []), change] };
  alerts.set(alert, record);
  // What is raised is announced as the entry that it is about.
  if (change.state !== "raised") say(`Alert ${change.state}: ${titleOf(entry)}`);
  prune();
}

function prune() {
  for (const [alert] of newestFirst().slice(MAX_ALERTS)) alerts.delete(alert);
}

const raisedAt = ({ history }) => Date.parse(history[0].at) || 0;
const newestFirst = () => [...alerts].sort(([, a], [, b]) => raisedAt(b) - raisedAt(a));
const stateOf = ({ history }) => history.at(-1).state;

function titleOf({ title, body = [] }) {
  const text = title || body.find((block) => block.text)?.text || "(no title)";
  const points = Array.from(text);
  return points.length > TITLE_CHARS ? `${points.slice(0, TITLE_CHARS).join("")}…` : text;
}

// --- what is shown -------------------------------------------------------------------------------

const nodes = new Map(); // alert id -> {record, element}: rebuilt when the record is replaced
let areAllShown = false;

/** page: only alerts of this one, or null. */
export function showAlerts(page) {
  for (const alert of nodes.keys()) if (!alerts.has(alert)) nodes.delete(alert);
  const chosen = newestFirst().filter(([, record]) => page === null || record.page.id === page);
  const shown = areAllShown ? chosen : chosen.slice(0, FEW);
  reconcile(byId("alerts"), shown.map(([alert, record]) => nodeOf(alert, record)));
  const more = byId("alerts-more");
  more.hidden = chosen.length <= FEW;
  more.setAttribute("aria-expanded", String(areAllShown));
  setText(more, areAllShown ? "Show fewer" : `Show all ${chosen.length} alerts`);
  byId("alerts-section").hidden = !chosen.length && byId("notify").hidden;
  byId("alerts-none").hidden = chosen.length > 0;
  more.onclick = () => {
    areAllShown = !areAllShown;
    showAlerts(page);
  };
}

function nodeOf(alert, record) {
  const known = nodes.get(alert);
  if (known?.record === record) return known.element;
  const element = alertElement(alert, record);
  if (known?.element.querySelector("details").open) element.querySelector("details").open = true;
  nodes.set(alert, { record, element });
  return element;
}

function alertElement(alert, record) {
  const { entry, entries, page, rule, history } = record;
  const state = stateOf(record);
  const named = entries.length > 1 ? `${titleOf(entry)} and ${entries.length - 1} more` : titleOf(entry);
  const title = state === "retracted" ? el("del", {}, named) : named;
  const about = [
    el("span", { class: "state" }, state),
    el("span", { class: "rule" }, rule),
    ...moment(history[0].at),
    el("span", { class: "alert-page", dir: "auto" }, page.title || page.id),
  ];
  return el(
    "li",
    { class: "alert", "data-alert": alert, "data-state": state },
    el("p", { class: "about" }, spaced(about)),
    el("p", { class: "alert-title", dir: "auto" }, link(entry.url || page.url, title)),
    el(
      "details",
      {},
      el("summary", { dir: "auto" }, history.at(-1).reason),
      entries.length > 1 ? el("ul", { class: "entries" }, entries.map((one) => listedElement(one, page))) : null,
      el("ol", { class: "history" }, history.map(changeElement)),
      delay(record.lag),
    ),
  );
}

const changeElement = ({ state, reason, at }) =>
  el("li", {}, spaced([...moment(at), el("b", {}, state), el("span", { dir: "auto" }, reason)]));

/** One of several entries that an alert is about. */
function listedElement({ entry, title, url, withdrawn }, page) {
  const text = title || entry;
  return el("li", { dir: "auto" }, link(url ?? page.url, withdrawn ? el("del", {}, text) : text));
}

/** The time, and the day unless it is today. */
function moment(instant) {
  const day = dayOf(new Date(instant));
  return day ? [timeElement(instant), el("span", {}, day)] : [timeElement(instant)];
}

/** Where time was lost before the alert was raised. */
function delay(lag) {
  if (!lag) return null;
  const published = lag.seen_s === null ? "" : `Seen ${seconds(lag.seen_s)} after it was published, raised `;
  return el("p", { class: "lag" }, `${published || "Raised "}${seconds(lag.raised_s)} after it was seen.`);
}

function seconds(s) {
  const size = Math.abs(s);
  if (size < 10) return `${s.toFixed(1)} s`;
  if (size < 600) return `${Math.round(s)} s`;
  return size < 36_000 ? `${Math.round(s / 60)} min` : `${Math.round(s / 3600)} h`;
}
