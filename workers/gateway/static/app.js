// The live page: reads the feed (`stoppress.v1.json`), folds it into what is known, and shows that.
// It decides nothing about the news, asks no other host for anything but images, and never turns
// text of a page into markup: every word goes through textContent, every address through safeUrl.

import { forgetAlerts, readAlerts, showAlerts, takeAlert } from "./alerts.js";
import { byId, dayKey, dayOf, el, link, reconcile, safeUrl, setText, spaced, timeElement, utc } from "./dom.js";
import { offerNotifications } from "./notify.js";
import { subscribe } from "./stoppress.js";

const MAX_ENTRIES = 500; // shown at once, and remembered for each page
const MAX_EDITS = 10; // remembered for each entry
const BLIND_HEARTBEATS = 3; // a poll that is overdue by so many heartbeats is one that nobody makes
const FORGIVEN_SKEW_MS = 2_000;

// --- what is known: the fold of all messages -----------------------------------------------------

const pages = new Map(); // page id -> {ref, status, summary, health, sequence}
const entries = new Map(); // key -> a record; a record is replaced, never changed

function forget() {
  pages.clear();
  entries.clear();
  forgetAlerts();
}

function pageOf(id, ref) {
  let page = pages.get(id);
  if (!page) {
    page = { ref: { id }, status: "live", summary: null, health: {}, sequence: 0 };
    pages.set(id, page);
  }
  if (ref) page.ref = ref;
  return page;
}

function takeSnapshot(message) {
  const page = pageOf(message.page.id, message.page);
  page.status = message.status;
  page.summary = message.summary ?? null;
  page.health = message.health ?? {};
  page.sequence = message.sequence ?? 0;
  const before = new Map([...entries].filter(([, record]) => record.page === page.ref.id));
  for (const key of before.keys()) entries.delete(key);
  for (const known of message.entries) {
    const edits = before.get(keyOf(page.ref.id, known.entry))?.edits ?? [];
    keep({ ...known, page: page.ref.id, edits, seenAt: 0, arrival: null });
  }
  prune(page.ref.id);
}

/** Applies one event once. Events at or below the page's sequence were applied already. */
function takeEvent(event) {
  if (!/^stoppress\.(entry|page)\./.test(event.type)) return;
  const page = pageOf(event.data.page.id, event.data.page);
  const sequence = Number(event.sequence);
  if (sequence <= page.sequence) return;
  page.sequence = sequence;
  if (event.type.startsWith("stoppress.page.")) takePageEvent(page, event);
  else takeEntryEvent(page, event);
}

function takePageEvent(page, { type, data }) {
  page.status = data.status;
  if (data.health) page.health = data.health;
  if (/\.(opened|updated)$/.test(type)) page.summary = data.summary ?? null;
}

function takeEntryEvent(page, event) {
  const { type, data } = event;
  const change = type.split(".").pop();
  const before = entries.get(keyOf(page.ref.id, data.entry));
  const baseline = before?.baseline ?? data.baseline;
  const record = {
    page: page.ref.id,
    entry: data.entry,
    revision: data.revision,
    baseline,
    removed: change === "removed",
    edits: before?.edits ?? [],
    seenAt: before?.seenAt ?? (Date.parse(data.observed?.at ?? event.time) || 0),
    arrival: arrivalOf(change, baseline),
  };
  if (change === "edited") record.edits = [editOf(event), ...record.edits].slice(0, MAX_EDITS);
  keep(record);
  prune(page.ref.id);
  if (becameBreaking(change, record, before, data)) announce(record);
}

function arrivalOf(change, baseline) {
  if (change === "edited") return "changed";
  const arrives = change === "restored" || (change === "published" && !baseline);
  return arrives ? "arriving" : null;
}

function editOf({ time, data }) {
  return {
    at: time,
    runs: Object.entries(data.edits ?? {}),
    changed: data.changed ?? [],
    kind: data.significance?.kind ?? "rewrite",
    evidence: data.significance?.evidence ?? [],
  };
}

function becameBreaking(change, record, before, data) {
  if (!isBreaking(record.entry)) return false;
  if (change === "published") return !record.baseline;
  const gained = before ? !isBreaking(before.entry) : (data.changed ?? []).includes("labels");
  return change === "edited" && gained;
}

const isBreaking = (entry) => (entry.labels ?? []).includes("breaking");
const keyOf = (pageId, entry) => JSON.stringify([pageId, entry.id]);

function keep(record) {
  const key = keyOf(record.page, record.entry);
  const at = Date.parse(record.entry.published) || record.seenAt;
  entries.set(key, { ...record, key, at });
}

/** Newest first. Pages that give minutes only: what we saw later is newer, then the page's order. */
function newestFirst(a, b) {
  return (
    b.at - a.at || b.seenAt - a.seenAt || (a.entry.position ?? 0) - (b.entry.position ?? 0)
  );
}

function prune(pageId) {
  const own = [...entries.values()].filter((record) => record.page === pageId);
  if (own.length <= MAX_ENTRIES) return;
  for (const record of own.sort(newestFirst).slice(MAX_ENTRIES)) entries.delete(record.key);
}

// --- time ----------------------------------------------------------------------------------------

let skew_ms = 0; // the gateway's clock less ours: "12 s ago" must not depend on a wrong clock here
const now_ms = () => Date.now() + skew_ms;

async function measureSkew() {
  try {
    const sent = Date.now();
    const answer = await fetch("/", { method: "HEAD", cache: "no-store" });
    const there = Date.parse(answer.headers.get("date")) + 500; // it is cut to whole seconds
    const skew = there - (sent + Date.now()) / 2;
    skew_ms = Math.abs(skew) > FORGIVEN_SKEW_MS ? skew : 0;
  } catch {
    // The socket says whether we are connected; the old skew is as good as any.
  }
}

function ago(instant) {
  const s = Math.max(0, Math.round((now_ms() - Date.parse(instant)) / 1000));
  if (s < 90) return `${s} s ago`;
  if (s < 90 * 60) return `${Math.round(s / 60)} min ago`;
  if (s < 36 * 3600) return `${Math.round(s / 3600)} h ago`;
  return `${Math.round(s / 86400)} d ago`;
}

// --- blocks --------------------------------------------------------------------------------------

/** Text with its marks. Marks count code points, JavaScript strings count UTF-16 units. */
function marked(line) {
  const points = Array.from(line.text ?? "");
  const marks = (line.marks ?? []).filter((mark) => mark.start < mark.end && mark.end > 0);
  return markedRange(points, 0, points.length, marks);
}

function markedRange(points, start, end, marks) {
  const nodes = [];
  let at = start;
  while (at < end) {
    const mark = firstMark(marks, at, end);
    const from = mark ? Math.max(mark.start, at) : end;
    if (from > at) nodes.push(points.slice(at, from).join(""));
    if (!mark) break;
    at = Math.min(mark.end, end);
    const inner = marks.filter((other) => other !== mark && !bothLinks(other, mark));
    nodes.push(markElement(mark, markedRange(points, from, at, inner)));
  }
  return nodes;
}

function firstMark(marks, at, end) {
  const inside = marks.filter((mark) => mark.start < end && mark.end > at);
  const order = (a, b) => Math.max(a.start, at) - Math.max(b.start, at) || b.end - a.end;
  return inside.sort(order)[0];
}

const bothLinks = (a, b) => a.kind === "link" && b.kind === "link"; // links do not nest

function markElement(mark, children) {
  if (mark.kind === "link") return link(mark.url, ...children);
  return el(mark.kind === "strong" ? "strong" : "em", {}, children);
}

const BLOCKS = {
  paragraph: (block) => el("p", { dir: "auto" }, marked(block)),
  list: (block) =>
    el(
      block.ordered ? "ol" : "ul",
      {},
      (block.items ?? []).map((item) => el("li", { dir: "auto" }, marked(item))),
    ),
  quote: (block) =>
    el(
      "blockquote",
      { dir: "auto" },
      el("p", {}, marked(block)),
      block.cite ? el("footer", {}, "— ", block.cite) : null,
    ),
  heading: (block) =>
    el(`h${Math.min(6, Math.max(3, Number(block.level) || 3))}`, { dir: "auto" }, block.text ?? ""),
  table: (block) =>
    el(
      "div",
      { class: "wide", tabindex: "0", role: "region", "aria-label": "Table" },
      el("table", {}, el("tbody", {}, (block.rows ?? []).map(tableRow))),
    ),
  embed: (block) => outside(block.url, block.provider ? `From ${block.provider}` : "Embedded"),
  video: (block) => outside(block.url, block.caption || "Video", "▶ "),
  image: figure,
};

const tableRow = (row) => el("tr", {}, row.map((cell) => el("td", { dir: "auto" }, cell)));

function blockElement(block) {
  if (Object.hasOwn(BLOCKS, block.type)) return BLOCKS[block.type](block);
  return block.text ? el("p", { dir: "auto" }, block.text) : null; // a kind newer than this page
}

function outside(url, words, sign = "") {
  const href = safeUrl(url);
  const host = href ? ` (${new URL(href).hostname})` : "";
  return el("p", { class: "outside", dir: "auto" }, sign, link(url, words), host);
}

function figure(image) {
  const element = el("figure", {}, picture(image), caption(image));
  return element.hasChildNodes() ? element : null;
}

function picture({ url, alt }) {
  const src = safeUrl(url);
  const words = alt ? el("p", { class: "alt", dir: "auto" }, "Image: ", alt) : null;
  if (!src) return words;
  const img = el("img", { alt: alt ?? "", loading: "lazy", decoding: "async" });
  img.referrerPolicy = "no-referrer";
  img.addEventListener("error", () => (words ? img.replaceWith(words) : img.remove()));
  img.src = src;
  return img;
}

function caption(image) {
  if (!image.caption && !image.credit) return null;
  const credit = image.credit ? el("span", { class: "credit" }, image.credit) : null;
  return el("figcaption", { dir: "auto" }, image.caption ?? "", " ", credit);
}

// --- entries -------------------------------------------------------------------------------------

const KINDS = {
  none: ["cosmetic", "Only spacing, punctuation or case changed"],
  correction: ["correction", "The publisher corrected or clarified this"],
  figure: ["figure", "A number or a unit changed"],
  polarity: ["polarity", "A negation or a status changed"],
  name: ["name", "A name changed"],
  label: ["label", "A label was set or taken away"],
  append: ["append", "Something was added"],
  typo: ["typo", "Spelling was mended"],
  rewrite: ["rewrite", "The wording changed"],
};

function entryElement(record) {
  const { entry } = record;
  const kinds = [
    "entry",
    isBreaking(entry) && "breaking",
    record.removed && "withdrawn",
    record.arrival,
  ];
  const element = el(
    "li",
    { class: kinds.filter(Boolean).join(" "), "data-entry": entry.id },
    el("article", {}, when(record), el("div", { class: "what" }, what(record))),
  );
  element.addEventListener("animationend", (event) => {
    if (event.target === element) element.classList.remove("arriving", "changed");
  });
  return element;
}

function what(record) {
  const { entry } = record;
  return [
    marks(record),
    entry.title ? el("h3", { class: "title", dir: "auto" }, titleText(record)) : null,
    authors(entry),
    edited(record),
    ...(entry.body ?? []).map(blockElement),
    ...(entry.media ?? []).map(blockElement),
    el("p", { class: "from" }),
  ];
}

const titleText = ({ entry, removed }) => (removed ? el("del", {}, entry.title) : entry.title);

function when({ entry, seenAt }) {
  const instant = entry.published ?? (seenAt ? new Date(seenAt).toISOString() : null);
  if (!instant) return el("p", { class: "when" });
  const day = dayOf(new Date(instant));
  const time = timeElement(instant);
  return el(
    "p",
    { class: "when" },
    safeUrl(entry.url) ? link(entry.url, time) : time,
    day ? el("span", { class: "day" }, day) : null,
  );
}

function marks({ entry, removed }) {
  const quiet = (entry.labels ?? []).filter((label) => label !== "breaking");
  const badges = [
    isBreaking(entry) ? el("span", { class: "badge" }, "Breaking") : null,
    removed ? el("span", { class: "mark" }, "withdrawn") : null,
    ...quiet.map((label) => el("span", { class: "label" }, label)),
  ].filter(Boolean);
  return badges.length ? el("p", { class: "marks" }, spaced(badges)) : null;
}

function authors({ authors: people = [] }) {
  if (!people.length) return null;
  const names = people.map(({ name, role }) =>
    el(
      "span",
      { class: "author", dir: "auto" },
      el("b", {}, name),
      role ? el("span", { class: "role" }, ` ${role}`) : null,
    ),
  );
  return el("p", { class: "authors" }, spaced(names));
}

/** "edited", with what changed if we were there to see it. */
function edited({ edits, revision }) {
  if (!edits.length && revision < 2) return null;
  if (!edits.length) {
    const title = `Revision ${revision}; changed before this window was opened`;
    return el("p", { class: "edited", title }, "edited");
  }
  const [last] = edits;
  const times = edits.length > 1 ? `edited ${edits.length} times` : "edited";
  return el(
    "details",
    { class: "edited" },
    el("summary", {}, times, " ", timeElement(last.at), " ", kindElement(last), evidence(last)),
    el("ol", { class: "edits" }, edits.map((edit) => editElement(edit, edits.length > 1))),
  );
}

function kindElement({ kind }) {
  const [word, meaning] = Object.hasOwn(KINDS, kind) ? KINDS[kind] : [kind, null];
  return el("span", { class: "kind", title: meaning, "data-kind": kind }, word);
}

function evidence({ evidence: words }) {
  return words.length ? el("span", { class: "evidence", dir: "auto" }, ` ${words.join("; ")}`) : null;
}

function editElement(edit, headed) {
  const other = edit.changed.filter((name) => !edit.runs.some(([field]) => field === name));
  return el(
    "li",
    {},
    headed ? el("p", { class: "field" }, timeElement(edit.at), " ", kindElement(edit)) : null,
    ...edit.runs.map(([field, runs]) => [
      el("p", { class: "field" }, field),
      el("p", { class: "diff", dir: "auto" }, shortened(runs).map(runElement)),
    ]),
    other.length ? el("p", { class: "field" }, `also changed: ${other.join(", ")}`) : null,
  );
}

function runElement([op, text]) {
  if (op === "delete") return el("del", {}, text);
  return op === "insert" ? el("ins", {}, text) : text;
}

const CONTEXT_CHARS = 90;

/** Long unchanged stretches cut down to what stands beside a change. */
function shortened(runs) {
  return runs.map(([op, text], place) => {
    if (op !== "equal" || text.length < 3 * CONTEXT_CHARS) return [op, text];
    const head = place > 0 ? text.slice(0, CONTEXT_CHARS).replace(/\s\S*$/, "") : "";
    const tail =
      place < runs.length - 1 ? text.slice(-CONTEXT_CHARS).replace(/^\S*\s/, "") : "";
    return [op, `${head} … ${tail}`];
  });
}

// --- pages ---------------------------------------------------------------------------------------

let onlyPage = null;
let onlyBreaking = false;
const pageNodes = new Map(); // page id -> its elements, kept so that focus stays where it is

function pageNode(id) {
  let node = pageNodes.get(id);
  if (node) return node;
  const part = (name) => el("span", { class: name });
  node = { title: part("page-title"), status: part("status"), health: part("health") };
  node.title.dir = "auto";
  node.seen = el("time", {});
  node.detail = part("detail");
  const line = el("span", { class: "sight" }, node.health, " · ", node.seen);
  node.button = el("button", { type: "button" }, node.title, " ", node.status, " ", line, " ");
  node.button.append(node.detail);
  node.button.addEventListener("click", () => choosePage(onlyPage === id ? null : id));
  node.out = el("a", { class: "out", target: "_blank", rel: "noopener noreferrer" }, "↗");
  node.element = el("li", { class: "page", "data-page": id }, node.button, node.out);
  pageNodes.set(id, node);
  return node;
}

/** How well a page is seen, as far as can be said here: the gateway may not know that it is blind. */
function sight(health) {
  const status = health.status ?? "stale";
  if (connection.state !== "live") return { status: "unknown", word: `was ${status}`, detail: "" };
  const overdue_ms = now_ms() - Date.parse(health.next_poll);
  if (status !== "ended" && overdue_ms > BLIND_HEARTBEATS * connection.heartbeat_ms) {
    return { status: "stale", word: "stale: nobody is polling", detail: "" };
  }
  if (status === "healthy" || status === "ended") return { status, word: status, detail: "" };
  const since = health.since ? ` for ${ago(health.since).replace(" ago", "")}` : "";
  const reasons = [health.detail, health.reason && `(${health.reason})`].filter(Boolean);
  return { status, word: status + since, detail: reasons.join(" ") };
}

function showPage(id, page) {
  const node = pageNode(id);
  const { status, word, detail } = sight(page.health);
  const url = safeUrl(page.ref.url);
  node.element.dataset.health = status;
  node.element.dataset.status = page.status;
  node.button.setAttribute("aria-pressed", String(onlyPage === id));
  setText(node.title, page.ref.title || id);
  setText(node.status, page.status);
  setText(node.health, word);
  setText(node.detail, detail);
  showSeen(node.seen, page.health.last_good_poll);
  node.out.hidden = !url;
  if (url) node.out.href = url;
  node.out.setAttribute("aria-label", `Open ${page.ref.title || id}`);
  return node.element;
}

function showSeen(element, instant) {
  setText(element, instant ? `last good poll ${ago(instant)}` : "no good poll yet");
  if (instant) element.dateTime = instant;
  element.title = instant ? utc(new Date(instant)) : "";
}

function showPages() {
  for (const [id, node] of pageNodes) {
    if (pages.has(id)) continue;
    node.element.remove();
    pageNodes.delete(id);
  }
  reconcile(byId("pages"), [...pages].map(([id, page]) => showPage(id, page)));
  showChosen();
}

function showChosen() {
  const chosen = pages.get(onlyPage);
  const single = pages.size === 1 ? [...pages.values()][0] : chosen;
  byId("filter").hidden = !chosen;
  setText(byId("filter-name"), chosen ? chosen.ref.title || onlyPage : "");
  const summary = single?.summary === single?.ref.title ? "" : (single?.summary ?? "");
  byId("summary").hidden = !summary;
  setText(byId("summary"), summary);
  byId("entries").classList.toggle("of-one-page", Boolean(single));
}

function choosePage(id) {
  onlyPage = id;
  render();
}

// --- the whole -----------------------------------------------------------------------------------

const entryNodes = new Map(); // key -> {record, element, day}: rebuilt when the record is replaced

function entryNode(record) {
  const day = dayKey(new Date());
  const known = entryNodes.get(record.key);
  if (known && known.record === record && known.day === day) return known.element;
  const element = entryElement(record);
  if (known?.element.querySelector("details")?.open) {
    element.querySelector("details")?.setAttribute("open", "");
  }
  if (known?.record === record) element.classList.remove("arriving", "changed");
  entryNodes.set(record.key, { record, element, day });
  return element;
}

function showEntries() {
  for (const key of entryNodes.keys()) if (!entries.has(key)) entryNodes.delete(key);
  const chosen = [...entries.values()]
    .filter((record) => !pages.has(onlyPage) || record.page === onlyPage)
    .filter((record) => !onlyBreaking || isBreaking(record.entry))
    .sort(newestFirst);
  const shown = chosen.slice(0, MAX_ENTRIES);
  const elements = shown.map((record) => {
    const element = entryNode(record);
    const { ref } = pages.get(record.page);
    setText(element.querySelector(".from"), ref.title || ref.id);
    return element;
  });
  reconcile(byId("entries"), elements);
  setText(byId("note"), noteFor(chosen.length));
}

function noteFor(count) {
  if (count > MAX_ENTRIES) return `${count - MAX_ENTRIES} older entries are not shown.`;
  if (count || connection.state !== "live") return "";
  if (onlyBreaking) return "No breaking entries.";
  return pages.size ? "No entries yet." : "No page is followed yet.";
}

function render() {
  showPages();
  showAlerts(pages.has(onlyPage) ? onlyPage : null);
  showEntries();
}

let scheduled = false;

/** One render a frame, however many messages came; none while nobody is looking. */
function schedule() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    render();
  });
}

function announce({ entry }) {
  say(`Breaking: ${entry.title ?? "new entry"}`);
}

/** To those who listen to the page. */
function say(words) {
  byId("announcer").textContent = words;
}

// --- the connection ------------------------------------------------------------------------------

const connection = {
  state: "connecting", // connecting, live, lost, locked, refused
  heartbeat_ms: 20_000,
  heard: 0, // when the last message came, by the monotonic clock
};

const keyGiven = () => sessionStorage.getItem("key"); // kept while this tab is open

async function follow() {
  const key = keyGiven();
  const feed = key ? `/v1/feed?access_token=${encodeURIComponent(key)}` : "/v1/feed";
  try {
    const everything = subscribe(feed, { type: ["entry", "page", "alert"] });
    for await (const message of everything.messages()) take(message);
  } catch (error) {
    if (/^access\.(missing|unknown|token)$/.test(error.code)) askForKey(key);
    else become("refused", error.detail ?? String(error));
  }
}

/** A request to the gateway with the key, if there is one. */
function ask(path, { headers, ...options } = {}) {
  const key = keyGiven();
  const access = key ? { Authorization: `Bearer ${key}` } : {};
  return fetch(path, { ...options, headers: { ...headers, ...access } });
}

function askForKey(refused) {
  become("locked", refused ? "that one does not count" : "");
  byId("key-form").hidden = false;
  byId("key").focus();
}

function take(message) {
  if (message.type !== "lost") connection.heard = performance.now();
  switch (message.type) {
    case "hello":
      greet(message);
      break;
    case "snapshot":
      takeSnapshot(message);
      break;
    case "event":
      takeEvent(message.event);
      break;
    case "alert":
      takeAlert(message, say);
      break;
    case "cursor":
      readAlerts(ask).then(schedule);
      break;
    case "health":
      pageOf(message.page).health = message.health;
      break;
    case "reset":
      forget();
      break;
    case "lost":
      become("lost");
  }
  schedule();
}

function greet(message) {
  if (!message.resumed) forget();
  connection.heartbeat_ms = 1000 * message.heartbeat_s;
  become("live");
  measureSkew().then(schedule);
  offerNotifications(ask).then(schedule);
}

const STATES = {
  connecting: ["Connecting…", ""],
  live: ["Connected", ""],
  lost: ["Not connected", "Connection lost. What is shown may be out of date."],
  locked: ["Not connected", "This gateway asks for a key."],
  refused: ["Closed", "The gateway has closed this feed. Reload the page to begin again."],
};

function become(state, why = "") {
  connection.state = state;
  document.body.dataset.connection = state;
  const [word, alarm] = STATES[state];
  setText(byId("connection"), word);
  byId("alarm").hidden = !alarm;
  setText(byId("alarm-text"), why ? `${alarm} (${why})` : alarm);
  tick();
  schedule();
}

/** Once a second: the ages on the page. */
function tick() {
  for (const [id, page] of pages) if (pageNodes.has(id)) showPage(id, page);
  const silent_ms = performance.now() - connection.heard;
  const since = `Last heard ${Math.round(silent_ms / 1000)} s ago; trying again.`;
  setText(byId("alarm-since"), connection.state === "lost" && connection.heard ? since : "");
}

// --- start ---------------------------------------------------------------------------------------

byId("only-breaking").addEventListener("click", ({ currentTarget }) => {
  onlyBreaking = !onlyBreaking;
  currentTarget.setAttribute("aria-pressed", String(onlyBreaking));
  render();
});
byId("filter-clear").addEventListener("click", () => choosePage(null));
byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("key", byId("key").value.trim());
  byId("key-form").hidden = true;
  become("connecting");
  follow();
});
setInterval(tick, 1000);
follow();
