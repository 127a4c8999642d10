// The service worker of the web page: it shows the alerts that are pushed to this browser.
// It answers no requests and keeps nothing. What a push says is text, and is shown as text.

/** The address if it is http(s), else null. Nothing else is ever opened. */
function safeUrl(text) {
  try {
    const url = new URL(text);
    return url.protocol === "http:" || url.protocol === "https:" ? url.href : null;
  } catch {
    return null;
  }
}

/** What a push says; a push that says nothing sensible must be shown too, or the browser says worse. */
function read(data) {
  try {
    const { tag, title, body, url } = data.json();
    return { tag: String(tag), title: String(title), body: String(body ?? ""), url: safeUrl(url) };
  } catch {
    return { tag: "stoppress", title: "Stoppress", body: "There is an alert.", url: null };
  }
}

/** An alert has one notification. What becomes of it later takes its place, without a sound. */
const show = ({ tag, title, body, url }) =>
  self.registration.showNotification(title, { tag, body, data: { url }, dir: "auto" });

async function open(url) {
  const pages = await self.clients.matchAll({ type: "window" });
  if (url === null && pages.length) return pages[0].focus();
  return self.clients.openWindow(url ?? "/");
}

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("push", (event) => event.waitUntil(show(read(event.data))));
self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(open(safeUrl(event.notification.data?.url)));
});
