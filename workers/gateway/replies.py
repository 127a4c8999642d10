"""How answers and errors go out over HTTP, and how parameters come in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from aiohttp import web
from aiohttp.web_exceptions import HTTPRequestEntityTooLarge
from redis.exceptions import RedisError

from service.errors import ConfigError, StoppressError, StoreError, SubscriberError
from service.model import body_digest
from workers.gateway.access import TOKEN, Grant
from workers.gateway.answers import problem
from workers.gateway.protocol import Position
from workers.gateway.subscription import Subscription, check_bounds, may_see, parse, unknown_filter

GRANT = web.RequestKey("grant", Grant)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
BODY_S = 10.0  # how long a body may take to arrive
TAKEN = frozenset({"page.id_taken", "page.source_taken", "rule.fixed"})


class UnavailableError(SubscriberError):
    """Not now."""

    status = 503


class TooManyError(SubscriberError):
    """Not that many."""

    status = 429


class NotFoundError(SubscriberError):
    """Not here."""

    status = 404


class ForbiddenError(SubscriberError):
    """Not you."""

    status = 403


class TooLongError(SubscriberError):
    """Not that much."""

    status = 413


class MediaTypeError(SubscriberError):
    """Not in this form."""

    status = 415


def answer(
    value: object, status: int = 200, *, headers: Mapping[str, str] | None = None
) -> web.Response:
    """A value as JSON."""
    return web.Response(
        body=msgspec.json.encode(value),
        status=status,
        content_type="application/json",
        headers=headers,
    )


def tagged(request: web.Request, body: bytes, kind: str = "application/json") -> web.Response:
    """An answer that a client need not fetch again while it is the same (RFC 9110, 8.8.3)."""
    tag = body_digest(body)
    if any(known.value in {tag, "*"} for known in request.if_none_match or ()):
        return web.Response(status=304, headers={"ETag": f'"{tag}"'})
    headers = {"ETag": f'"{tag}"', "Cache-Control": "no-cache"}
    charset = "utf-8" if kind.endswith("xml") else None
    return web.Response(body=body, content_type=kind, charset=charset, headers=headers)


def check_operator(
    request: web.Request, page: str | None = None, *, everywhere: bool = False
) -> None:
    """Raises ForbiddenError for whoever may not operate this page, or all of them."""
    grant = request[GRANT]
    if not grant.operate:
        raise ForbiddenError(
            "access.operate", "this key may read only", fix="use one that has operate = true"
        )
    if page is not None and not may_see(grant.pages, page):
        raise ForbiddenError("access.page", f"this key is not for a page {page!r}", where="id")
    if everywhere and "*" not in grant.pages:
        raise ForbiddenError("access.page", "this key is for some pages only, rules are for all")


def asked(request: web.Request, *also: str) -> tuple[Subscription, Position | None]:
    """The filters and the cursor of a request, as far as its sender may see.

    also: parameters that mean other things. Raises SubscriberError.
    """
    others = frozenset({*also, TOKEN})
    return parse(list(request.query.items()), within=request[GRANT].pages, also=others)


def named(
    request: web.Request, *names: str, also: tuple[str, ...] = ()
) -> dict[str, frozenset[str]]:
    """The values of these parameters; several are alternatives, with commas or repeated.

    also: parameters that mean other things. Raises SubscriberError for any other.
    """
    for name in request.query:
        if name not in {*names, *also, TOKEN}:
            raise unknown_filter(name, {*names, *also})
    found = {
        name: [v for one in request.query.getall(name, []) for v in one.split(",") if v]
        for name in names
    }
    check_bounds(found)
    return {name: frozenset(values) for name, values in found.items()}


async def json_body(request: web.Request, *, most_bytes: int | None = None) -> bytes:
    """The body of a request. Raises SubscriberError, for what is no JSON or takes too long."""
    if request.content_type != "application/json":
        raise MediaTypeError("body.type", "the body must be application/json")
    try:
        async with asyncio.timeout(BODY_S):
            body = await request.read()
    except TimeoutError:
        raise UnavailableError("body.slow", f"the body took over {BODY_S:g} s") from None
    except HTTPRequestEntityTooLarge:
        body = None
    if body is None or (most_bytes is not None and len(body) > most_bytes):
        raise TooLongError("body.too_long", "the body is too long")
    return body


def number(request: web.Request, name: str, *, default: int, most: int, least: int = 0) -> int:
    """Raises SubscriberError when it is no number in these bounds."""
    said = request.query.get(name, str(default))
    if not (said.isascii() and said.isdigit() and least <= int(said[:9]) <= most):
        raise SubscriberError(
            f"{name}.malformed", f"this is no number from {least} to {most}", where=name
        )
    return int(said)


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Errors as problem details (RFC 9457)."""
    try:
        return await handler(request)
    except StoppressError as error:
        response = _problem(error, _status(error))
        if response.status == 401:
            response.headers["WWW-Authenticate"] = _challenge(request)
        return response
    except (RedisError, OSError) as error:
        return _problem(StoreError("redis.unavailable", f"Redis does not answer: {error}"), 503)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        response = _problem(SubscriberError(f"http.{error.status}", error.reason), error.status)
        if allowed := error.headers.get("Allow"):
            response.headers["Allow"] = allowed
        return response


def _challenge(request: web.Request) -> str:
    """A browser asks its user for a password, where the user opens the address itself."""
    by_hand = "text/html" in request.headers.get("Accept", "")
    return 'Basic realm="Stoppress: any name, and the key"' if by_hand else "Bearer"


def _status(error: StoppressError) -> int:
    match error:
        case SubscriberError():
            return int(getattr(error, "status", 400))
        case ConfigError():
            return 409 if error.code in TAKEN else 400
        case StoreError():
            return 503
        case _:
            return 500


def _problem(error: StoppressError, status: int) -> web.Response:
    body = msgspec.json.encode(problem(error, status))
    return web.Response(body=body, status=status, content_type="application/problem+json")
