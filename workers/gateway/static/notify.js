// The button "Notify me": alerts as notifications of this browser, also while no page is open. The
// gateway keeps the browser's push subscription; sw.js shows what is pushed.

import { byId, setText } from "./dom.js";

const PLACE = "/v1/push/subscriptions";
const KNOWN_AS = "push-subscription"; // the id that the gateway knows us by
const CAN_PUSH = ["PushManager", "Notification"].every((name) => name in window) && "serviceWorker" in navigator;

const push = {
  key: null, // the gateway's, once it has said that it pushes
  subscription: null,
  isBusy: false,
  ask: null,
};

/** Shows the button where both the gateway and this browser can push. ask: a request to the gateway. */
export async function offerNotifications(ask) {
  if (!CAN_PUSH || push.key !== null) return;
  try {
    const answer = await ask("/v1/push");
    if (!answer.ok) return;
    push.ask = ask;
    push.key = (await answer.json()).key;
    byId("notify").addEventListener("click", () => attempt(push.subscription ? end : begin));
    await attempt(mend);
  } catch {
    // There is no button; the feed says whether the gateway is there.
  }
}

/** One at a time; what goes wrong is said beside the button. */
async function attempt(what) {
  if (push.isBusy) return;
  push.isBusy = true;
  setText(byId("notify-note"), "");
  try {
    await what();
  } catch (error) {
    setText(byId("notify-note"), error.message || String(error));
  } finally {
    push.isBusy = false;
    show();
  }
}

function show() {
  const button = byId("notify");
  button.hidden = false;
  button.setAttribute("aria-pressed", String(push.subscription !== null));
}

/** Who subscribed before is subscribed anew: perhaps the gateway has forgotten, or has another key. */
async function mend() {
  const registration = await navigator.serviceWorker.getRegistration("/");
  const known = await registration?.pushManager.getSubscription();
  if (!known || Notification.permission !== "granted") return;
  if (keyOf(known) !== push.key) {
    await known.unsubscribe();
    await subscribe(registration);
  } else {
    await keep(known);
  }
}

async function begin() {
  if ((await Notification.requestPermission()) !== "granted") {
    throw new Error("This browser does not let the page notify you. Its settings for this site can.");
  }
  await navigator.serviceWorker.register("/sw.js");
  await subscribe(await navigator.serviceWorker.ready);
}

async function subscribe(registration) {
  const wanted = { userVisibleOnly: true, applicationServerKey: push.key };
  const subscription = await registration.pushManager.subscribe(wanted);
  try {
    await keep(subscription);
  } catch (error) {
    await subscription.unsubscribe();
    throw error;
  }
}

/** Tell the gateway. */
async function keep(subscription) {
  const headers = { "Content-Type": "application/json" };
  const answer = await push.ask(PLACE, { method: "POST", headers, body: JSON.stringify(subscription) });
  if (!answer.ok) throw new Error(await whyNot(answer));
  localStorage.setItem(KNOWN_AS, (await answer.json()).id);
  push.subscription = subscription;
}

async function end() {
  const id = localStorage.getItem(KNOWN_AS);
  await push.subscription.unsubscribe();
  push.subscription = null;
  localStorage.removeItem(KNOWN_AS);
  // If this fails the gateway learns from the push service that the subscription is no more.
  if (id) await push.ask(`${PLACE}/${encodeURIComponent(id)}`, { method: "DELETE" });
}

async function whyNot(answer) {
  try {
    return (await answer.json()).detail;
  } catch {
    return `The gateway answers ${answer.status}.`;
  }
}

/** The key that a subscription was made with, in base64url without padding. */
function keyOf({ options }) {
  const bytes = new Uint8Array(options?.applicationServerKey ?? []);
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}
