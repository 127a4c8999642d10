// A subscriber to the feed of Stoppress, for browsers and Node. It reconnects, resumes, and checks
// that it missed nothing. docs/clients.md is written for its users; service/client.py does the same.
//
//   for await (const event of subscribe("ws://127.0.0.1:8037")) console.log(event.type);

const SUBPROTOCOL = "stoppress.v1.json";
const RETRY_MS = 500; // doubles with every failure
const CONNECT_MS = 10_000;
const SILENT_HEARTBEATS = 2.5; // so long without any message, and the connection counts as lost
const REMEMBERED = 1000; // ids of events given, for each page and of alerts
const TRIES = 10; // so often in a row what cannot be read may come at one place
const MAX_WAITING = 10_000; // messages; a reader that is slower than that lets go, and resumes
const FILTERS = ["page", "label", "type", "author", "text"];
const WHOLE = ["page", "access_token"]; // these filter out no event of a page
const FAMILIES = ["entry", "page"]; // both together as types don't either

/** There is no use in going on. `code` as in docs/feed.md, or "feed.closed" with a `closeCode`. */
export class FeedError extends Error {
  constructor(code, detail, closeCode = null) {
    super(`${code}: ${detail}`);
    Object.assign(this, { name: "FeedError", code, detail, closeCode });
  }
}

/**
 * Iterate over what this gives for events, or over its `messages()`. Begun again, it goes on.
 *
 * url: a gateway, or the address of its feed. options: the filters page, label, type, author and
 * text (one value or several; no alert comes unless a type asks for it); cursor: go on after this position; signal: ends it when aborted;
 * retryMax_ms: longest pause; WebSocket: a constructor, where there is none.
 */
export function subscribe(url, options = {}) {
  return new Subscription(url, options);
}

class Subscription {
  cursor = null; // position after the last event that you got
  healths = new Map(); // page id -> how well it is seen
  lag = null; // seconds from the poll that the last event comes from until you got it
  connected = false; // does the gateway talk to us?
  #url; #options; #isWhole;
  #chains = new Map();
  #alerts = new Set(); // ids of those given
  #reached = false;
  #silence_ms = CONNECT_MS;
  #doubt = null;
  #unreadable = { at: null, times: 0 };
  #mending = false; // get the snapshots, and only then go on from the cursor

  constructor(url, options) {
    this.#url = new URL(url, globalThis.location?.href);
    this.#url.protocol = this.#url.protocol.replace("http", "ws");
    if (this.#url.pathname === "/") this.#url.pathname = "/v1/feed";
    const query = this.#url.searchParams;
    for (const name of FILTERS) for (const value of [options[name] ?? []].flat()) query.append(name, value);
    this.cursor = options.cursor ?? query.get("cursor");
    query.delete("cursor");
    this.#isWhole = isWhole(query);
    this.#options = { WebSocket: globalThis.WebSocket, retryMax_ms: 10_000, ...options };
    if (!this.#options.WebSocket) throw new FeedError("websocket.missing", "pass one as options.WebSocket");
  }

  async *[Symbol.asyncIterator]() {
    for await (const message of this.messages()) {
      if (message.type === "event" || message.type === "alert") yield message.event;
    }
  }

  /** All that happens: the feed's messages, {type: "lost", reason, retry_ms} and resets of our own. */
  async *messages() {
    const { signal, retryMax_ms } = this.#options;
    for (let failures = 0; !signal?.aborted; ) {
      const [before, began] = [this.cursor, performance.now()];
      let lost = null;
      try {
        yield* this.#connection();
      } catch (error) {
        if (!(error instanceof Lost)) throw error;
        lost = error;
      } finally {
        this.connected = false;
      }
      if (signal?.aborted) return;
      if (lost.reset) yield { type: "reset", reason: lost.reset };
      const wasGood = this.cursor !== before || performance.now() - began > this.#silence_ms;
      failures = wasGood ? 0 : failures + 1;
      const retry_ms = Math.random() * Math.min(retryMax_ms, RETRY_MS * 2 ** failures); // full jitter
      yield { type: "lost", reason: lost.message, retry_ms };
      await pause(retry_ms, signal);
    }
  }

  async *#connection() {
    const { signal, WebSocket } = this.#options;
    const url = new URL(this.#url);
    const resumed = this.cursor !== null && !this.#mending;
    if (resumed) url.searchParams.set("cursor", this.cursor);
    this.#silence_ms = CONNECT_MS;
    const connection = new Connection(new WebSocket(url.href, SUBPROTOCOL), signal);
    try {
      while (!signal?.aborted) {
        const text = await connection.next(this.#silence_ms);
        const message = text === null ? null : this.#take(this.#read(text), resumed);
        if (message) yield message;
      }
    } catch (error) {
      if (error instanceof Lost && !connection.opened) await this.#askWhy(url);
      throw error;
    } finally {
      connection.close();
    }
  }

  /** An ordinary request says why an upgrade is refused. Throws that when it is for good. */
  async #askWhy(url) {
    const plain = new URL(url);
    plain.protocol = plain.protocol.replace("ws", "http");
    let problem = null;
    const ending = new AbortController();
    const timer = setTimeout(() => ending.abort(), CONNECT_MS);
    try {
      const answer = await fetch(plain, { cache: "no-store", signal: ending.signal });
      if (answer.status >= 400 && answer.status < 500 && answer.status !== 429) problem = await answer.json();
    } catch {
      return; // not reached, or not allowed to look
    } finally {
      clearTimeout(timer);
      ending.abort();
    }
    if (!problem?.code || problem.code === "http.400") return; // only the upgrade was missing
    if (problem.code !== "cursor.malformed" || !this.#reached) throw new FeedError(problem.code, problem.detail);
    this.cursor = null; // the feed itself gave it
    throw new Lost("the cursor is refused", problem.code);
  }

  #read(text) {
    try {
      const message = JSON.parse(text);
      if (kindOf(message) !== null) Number(message.event.id.length);
      if (kindOf(message) === "event") Number(message.event.data.page.id.length);
      return message;
    } catch (error) {
      const { at, times } = this.#unreadable;
      this.#unreadable = { at: this.cursor, times: at === this.cursor ? times + 1 : 1 };
      if (this.#unreadable.times >= TRIES) throw new FeedError("feed.unreadable", error.message);
      throw new Lost(`unreadable: ${error.message}`);
    }
  }

  /** What a message does to us; null when it is not for the reader. */
  #take(message, resumed) {
    switch (message.type) {
      case "hello":
        this.connected = this.#reached = true;
        this.#silence_ms = SILENT_HEARTBEATS * 1000 * message.heartbeat_s;
        if (!resumed) this.#forget();
        return { ...message, resumed };
      case "snapshot":
        this.#chain(message.page.id).begin(message.sequence);
        this.healths.set(message.page.id, message.health);
        return message;
      case "health":
        this.healths.set(message.page, message.health);
        return message;
      case "cursor":
        this.#reach(message.cursor);
        return message;
      case "event":
        return this.#takeEvent({ ...message, type: kindOf(message) });
      case "reset":
        this.cursor = null;
        this.#forget();
        return message;
      default:
        return null; // newer than we are, or an answer to our ping
    }
  }

  #takeEvent(message) {
    if (message.type === "canary") return message;
    const isNew = message.type === "alert" ? this.#isNewAlert(message) : this.#isNew(message);
    return isNew ? message : null;
  }

  #isNewAlert({ event, cursor }) {
    const isNew = !this.#alerts.has(event.id);
    remember(this.#alerts, event.id);
    this.cursor = cursor;
    return isNew;
  }

  #isNew({ event, cursor }) {
    const chain = this.#chain(event.data.page.id);
    const isNew = !chain.given.has(event.id);
    if (isNew && this.#isWhole && !chain.fits(event)) throw this.#missing(event);
    chain.goOn(event);
    if (!isNew) return false;
    this.cursor = cursor;
    this.lag = (Date.now() - Date.parse(event.time)) / 1000;
    return true;
  }

  /** Perhaps something was lost on the way; it was not when it is missing a second time. */
  #missing(event) {
    const doubt = JSON.stringify([this.cursor, event.id]);
    this.#mending = this.#doubt === doubt;
    this.#doubt = doubt;
    return new Lost("events are missing", this.#mending ? "chain.broken" : "");
  }

  #reach(cursor) {
    if (!this.#mending) {
      this.cursor = cursor;
      return;
    }
    this.#mending = false;
    this.#forget();
    throw new Lost("going on after what is missing");
  }

  #chain(page) {
    if (!this.#chains.has(page)) this.#chains.set(page, new Chain());
    return this.#chains.get(page);
  }

  #forget() {
    for (const chain of this.#chains.values()) chain.begin(null);
  }
}

/** One page's events as far as we have them. given: ids, to know them when they come again. */
class Chain {
  given = new Set();
  #number = null; // of the last event
  #last = null; // its id, if it was not in a snapshot

  begin(number) {
    this.#number = number;
    this.#last = null;
  }

  fits(event) {
    if (this.#last !== null) return event.previousid === this.#last;
    return this.#number === null || Number(event.sequence) <= this.#number + 1;
  }

  goOn(event) {
    remember(this.given, event.id);
    const number = Number(event.sequence);
    if (this.#last === null || number > this.#number) [this.#number, this.#last] = [number, event.id];
  }
}

/** What a message with an event is to the reader: `event`, of a page and in its chain, or not. */
function kindOf({ type, event }) {
  if (type !== "event") return null;
  if (event.type === "stoppress.canary") return "canary";
  return event.type.startsWith("stoppress.alert.") ? "alert" : "event";
}

/** Does every event of the pages come, with these filters? */
function isWhole(query) {
  const types = query.getAll("type").flatMap((value) => value.split(","));
  const names = types.length ? [...WHOLE, "type"] : WHOLE;
  const areWhole = !types.length || FAMILIES.every((family) => types.includes(family));
  return areWhole && [...query.keys()].every((name) => names.includes(name));
}

/** Know this id again when it comes a second time. */
function remember(given, id) {
  given.add(id);
  if (given.size > REMEMBERED) given.delete(given.values().next().value);
}

/** The connection is of no more use. reset: why state must be forgotten, if it must. */
class Lost extends Error {
  constructor(reason, reset = "") {
    super(reason);
    this.reset = reset;
  }
}

/** A socket that is pulled from. */
class Connection {
  opened = false;
  #socket; #signal; #over = null;
  #waiting = [];
  #wake = () => {};

  constructor(socket, signal) {
    this.#socket = socket;
    this.#signal = signal;
    this.abort = () => this.#end(new Lost("aborted"));
    signal?.addEventListener("abort", this.abort);
    socket.onopen = () => (this.opened = true);
    socket.onmessage = ({ data }) => this.#hear(data);
    socket.onerror = () => this.#end(new Lost("cut off"));
    socket.onclose = ({ code, reason }) => {
      const why = `${code} ${reason}`.trim();
      const isFinal = code >= 4500 && code <= 4999;
      this.#end(isFinal ? new FeedError("feed.closed", why, code) : new Lost(`closed with ${why}`));
    };
  }

  /** The next message; null when aborted. Throws Lost or FeedError once there is no more. */
  async next(silence_ms) {
    const heartbeat_ms = silence_ms / SILENT_HEARTBEATS;
    for (const wait_ms of [heartbeat_ms, silence_ms - heartbeat_ms]) {
      if (!this.#waiting.length && !this.#over) await this.#change(wait_ms);
      if (this.#signal?.aborted) return null;
      if (this.#waiting.length) return this.#waiting.shift();
      if (this.#over) throw this.#over;
      if (this.#socket.readyState === 1) this.#socket.send('{"type":"ping"}'); // its pings are not shown to us
    }
    throw new Lost(`silent for ${silence_ms / 1000} s`);
  }

  close() {
    this.#end(new Lost("closed"));
    this.#signal?.removeEventListener("abort", this.abort);
    this.#socket.close();
  }

  #hear(data) {
    if (this.#over) return;
    this.#waiting.push(data);
    this.#wake();
    if (this.#waiting.length >= MAX_WAITING) this.#end(new Lost("read too slowly"));
  }

  #end(why) {
    this.#over ??= why;
    this.#wake();
  }

  #change(wait_ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, wait_ms);
      this.#wake = () => (clearTimeout(timer), resolve());
    });
  }
}

/** Wait; a browser that is online again and a signal cut it short. */
function pause(wait_ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(done, wait_ms);
    const targets = [[globalThis, "online"], [signal, "abort"]].filter(([target]) => target?.addEventListener);
    for (const [target, name] of targets) target.addEventListener(name, done);
    function done() {
      clearTimeout(timer);
      for (const [target, name] of targets) target.removeEventListener(name, done);
      resolve();
    }
  });
}
