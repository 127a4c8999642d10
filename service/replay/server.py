"""The recorded page over HTTP, as a live page with its faults. It decides nothing of what to show.

`/live` (and `/`) is the page as HTML, `/live.txt` as text, `/replay/state` says how far it is.
"""

from __future__ import annotations

import errno
import math
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Literal, assert_never

from aiohttp import web

from service.errors import ConfigError
from service.events import rfc3339
from service.headers import origin_of
from service.model import Entry, content_digest, digest
from service.replay.playback import Clocked, Playback, Shown, Stepped
from service.replay.recording import DEFAULT_WINDOW, Recording
from service.replay.render import consent_html, live_html, live_text
from service.replay.script import Consent, Outage, Stale

Form = Literal["html", "text"]

CACHE = "max-age=5"
LIVE = "/live"
_PICTURE = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 9">'
    '<rect width="16" height="9" fill="#ccc"/></svg>'
)


def make_app(
    recording: Recording,
    *,
    speed: float,
    now: Callable[[], datetime],
    window: int = DEFAULT_WINDOW,
    max_gap_s: float | None = None,
) -> web.Application:
    """The site of a recording. It begins with the first step when the application starts.

    speed: how many times as fast as recorded, 0: one step a poll. window: entries on the page.
    max_gap_s: longest quiet time, in recorded seconds. now: the clock (UTC).
    Raises ConfigError for values out of bounds.
    """
    _check(speed, window, max_gap_s)
    site = _Site(recording, speed, now, window, max_gap_s)
    app = web.Application()
    app.on_startup.append(site.start)
    app.router.add_get("/", site.html)
    app.router.add_get(LIVE, site.html)
    app.router.add_get("/live.txt", site.text)
    app.router.add_get("/robots.txt", _robots)
    app.router.add_get("/replay/state", site.state)
    app.router.add_get("/replay/images/{size}/{name}.svg", _picture)
    return app


def _check(speed: float, window: int, max_gap_s: float | None) -> None:
    if not math.isfinite(speed) or speed < 0:
        raise _refusal("speed", speed, "0 for one step a poll, or how many times as fast")
    if window < 1:
        raise _refusal("window", window, "at least 1 entry")
    if max_gap_s is not None and not max_gap_s > 0:
        raise _refusal("max_gap_s", max_gap_s, "above 0")


def _refusal(name: str, value: float, allowed: str) -> ConfigError:
    return ConfigError("replay.invalid", f"{name} is {value:g}", where="replay", fix=allowed)


class _Site:
    """What the routes share: the recording and how far it has been played."""

    def __init__(
        self,
        recording: Recording,
        speed: float,
        now: Callable[[], datetime],
        window: int,
        max_gap_s: float | None,
    ) -> None:
        self._recording, self._speed, self._now = recording, speed, now
        self._max_gap_s = max_gap_s
        self._timeline = recording.timeline(window)
        self._playback = self._begin()
        self._polls = 0

    def _begin(self) -> Playback:
        if self._speed == 0:
            return Stepped(self._timeline, self._now())
        return Clocked(self._timeline, self._now(), self._speed, self._max_gap_s)

    async def start(self, _app: web.Application) -> None:
        """The page goes live."""
        self._playback = self._begin()

    async def html(self, request: web.Request) -> web.StreamResponse:
        """The page in the markup of BBC live pages."""
        return await self._page(request, "html")

    async def text(self, request: web.Request) -> web.StreamResponse:
        """The page as text."""
        return await self._page(request, "text")

    async def state(self, _request: web.Request) -> web.Response:
        """How far the replay is."""
        shown = self._playback.look(self._now())
        return web.json_response(
            {
                "step": shown.step,
                "steps": len(self._timeline.steps),
                "time": rfc3339(shown.at),
                "finished": shown.finished,
                "polls": self._polls,
                "hazard": type(shown.hazard).__name__.lower() if shown.hazard else None,
            }
        )

    async def _page(self, request: web.Request, form: Form) -> web.StreamResponse:
        """A GET counts as a poll once all of its answer is written; HEAD only looks."""
        now, is_poll = self._now(), request.method == "GET"
        shown = self._playback.poll(now) if is_poll else self._playback.look(now)
        response = self._answer(request, shown, form)
        response.headers["Date"] = _http_date(now)
        try:
            await response.prepare(request)
            await response.write_eof()
        except ConnectionError:
            return response  # the reader has gone: it was not answered
        if is_poll:
            self._playback.answered()
            self._polls += 1
        return response

    def _answer(self, request: web.Request, shown: Shown, form: Form) -> web.Response:
        match shown.hazard:
            case Outage(retry_after_s=retry_after_s):
                headers = {"Retry-After": str(retry_after_s), "Cache-Control": "no-store"}
                return web.Response(status=503, text="Service Unavailable\n", headers=headers)
            case Consent():
                return _html(consent_html(salt=_salt()), {"Cache-Control": "no-store"})
            case Stale(age_s=age_s):
                age = math.ceil(age_s / (self._speed or 1))
                return self._copy(request, shown, form, {"Age": str(age)})
            case None:
                return self._copy(request, shown, form, {})
            case _:
                assert_never(shown.hazard)

    def _copy(
        self, request: web.Request, shown: Shown, form: Form, more: dict[str, str]
    ) -> web.Response:
        """The page as it was in step `shown.page`, or 304 to whoever has it already.

        If-Modified-Since alone is not answered with 304: steps may be less than a second apart.
        """
        entries = self._timeline.steps[shown.page].entries
        tag = _tag(form, entries)
        headers = {
            "ETag": f'W/"{tag}"',
            "Last-Modified": _http_date(shown.since),
            "Cache-Control": CACHE,
            **more,
        }
        if any(held.value in (tag, "*") for held in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        if form == "text":
            return _text(live_text(self._recording.preamble, entries), headers)
        url = str(request.url.origin().with_path(LIVE))
        return _html(live_html(self._recording.head, entries, url=url, salt=_salt()), headers)


def _tag(form: Form, entries: tuple[Entry, ...]) -> str:
    """Weak (RFC 9110 section 8.8.1): the same content, though never the same bytes."""
    return digest(form, [(entry.id, content_digest(entry)) for entry in entries])


def _salt() -> str:
    return secrets.token_hex(4)


def _html(body: str, headers: dict[str, str]) -> web.Response:
    return web.Response(text=body, content_type="text/html", charset="utf-8", headers=headers)


def _text(body: str, headers: dict[str, str]) -> web.Response:
    return web.Response(text=body, content_type="text/plain", charset="utf-8", headers=headers)


def _http_date(moment: datetime) -> str:
    return format_datetime(moment.astimezone(UTC), usegmt=True)


async def _robots(_request: web.Request) -> web.Response:
    return web.Response(text="User-agent: *\nAllow: /\n")


async def _picture(_request: web.Request) -> web.Response:
    return web.Response(text=_PICTURE, content_type="image/svg+xml")


class Serving:
    """A site that listens. host, port: where; port is the real one when 0 was asked for."""

    def __init__(self, runner: web.AppRunner, host: str, port: int) -> None:
        self._runner = runner
        self.host, self.port = host, port

    @property
    def url(self) -> str:
        """Address of the live page."""
        return f"{self.origin}{LIVE}"

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return origin_of(self.host, self.port)

    async def close(self) -> None:
        """Stop listening and let go of the port."""
        await self._runner.cleanup()


async def serve(
    recording: Recording,
    host: str,
    port: int,
    speed: float,
    *,
    now: Callable[[], datetime],
    window: int = DEFAULT_WINDOW,
    max_gap_s: float | None = None,
) -> Serving:
    """Serve a recording as a live page; see make_app. port 0 takes a free one.

    Raises ConfigError when nothing can listen there.
    """
    app = make_app(recording, speed=speed, now=now, window=window, max_gap_s=max_gap_s)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise _no_port(error, f"{host}:{port}") from error
    return Serving(runner, host, runner.addresses[0][1])


def _no_port(error: OSError, where: str) -> ConfigError:
    if error.errno == errno.EADDRINUSE:
        fix = "stop what listens there, or choose another port; 0 takes a free one"
        return ConfigError("port.in_use", "the port is in use", where=where, fix=fix)
    what = f"cannot listen there: {error.strerror or error}"
    return ConfigError("port.unusable", what, where=where, fix="choose another host or port")
