"""The gateway's HTTP interface as OpenAPI 3.1, its feed and the streams as AsyncAPI 3.

Both are made from the types of what is sent; what is written here is what types can't say. A test
holds the paths against the gateway's routes, and schemathesis the answers against the document.
"""

from __future__ import annotations

from typing import Any, get_args

from msgspec import Struct

from docs.shapes import components
from service import __version__
from service.config import PageSettings
from service.events import AlertEvent, CanaryEvent, EntryEvent, PageEvent
from service.keys import Keys
from service.model import Health
from service.rules import RuleSettings
from workers.gateway import answers, protocol
from workers.gateway.protocol import CLOUDEVENTS_SUBPROTOCOL, SUBPROTOCOL
from workers.subscriptions import PushSubscription

REFS = "#/components/schemas/{name}"
LICENSE = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
JSON = "application/json"
EVENTS: tuple[type[Struct], ...] = (EntryEvent, PageEvent, CanaryEvent)
FED: tuple[type[Struct], ...] = (*EVENTS, AlertEvent)  # what comes in the feed
_ONE_EVENT = {"anyOf": [{"$ref": REFS.format(name=one.__name__)} for one in FED]}


def schemas(*kinds: type[Struct]) -> dict[str, dict[str, Any]]:
    """The schemas of types, and of all within, for a document's components."""
    found = components(kinds, REFS)[1]
    if "EventMessage" in found:
        found["EventMessage"]["properties"]["event"] = _ONE_EVENT
    if "Events" in found:
        found["Events"]["properties"]["events"] = {"type": "array", "items": _ONE_EVENT}
    return found


def _ref(kind: type[Struct]) -> dict[str, str]:
    return {"$ref": REFS.format(name=kind.__name__)}


# --- OpenAPI -------------------------------------------------------------------------------------


class Operation(Struct, frozen=True, kw_only=True):
    """One method of one path. answer: of what type, or the media type of what is no JSON of ours.

    other: or of this type, as the parameters say. errors: the statuses that it can refuse with.
    tagged: it has an ETag. open: no key is needed.
    """

    path: str
    method: str = "get"
    summary: str
    answer: type[Struct] | str | None
    other: type[Struct] | None = None
    statuses: tuple[int, ...] = (200,)
    parameters: tuple[str, ...] = ()
    body: type[Struct] | None = None
    errors: tuple[int, ...] = ()
    tagged: bool = False
    open: bool = False


FILTERS = ("page", "type", "label", "author", "text", "cursor")
OPERATIONS = (
    Operation(
        path="/v1/feed",
        summary=f"Subscribe over WebSocket ({SUBPROTOCOL} or {CLOUDEVENTS_SUBPROTOCOL}): see "
        "/asyncapi.json.",
        answer=None,
        statuses=(101,),
        parameters=FILTERS,
        errors=(400, 429, 503),
    ),
    Operation(
        path="/v1/events",
        summary="What follows a cursor; as server-sent events if asked for text/event-stream.",
        answer=answers.Events,
        parameters=(*FILTERS, "limit", "wait"),
        errors=(400, 410, 429, 503),
    ),
    Operation(path="/v1/pages", summary="The pages that are followed.", answer=answers.Pages),
    Operation(
        path="/v1/pages",
        method="post",
        summary="Follow a page. For operators.",
        answer=answers.Followed,
        statuses=(200, 201),
        body=PageSettings,
        errors=(400, 409, 413, 415),
    ),
    Operation(
        path="/v1/pages/{page}",
        summary="A page with its entries.",
        answer=answers.PageDetails,
        errors=(404,),
        tagged=True,
    ),
    Operation(
        path="/v1/pages/{page}",
        method="delete",
        summary="Follow a page no more. For operators.",
        answer=None,
        statuses=(204,),
        errors=(404,),
    ),
    Operation(
        path="/v1/pages/{page}/entries",
        summary="A page's entries in parts, newest first.",
        answer=answers.Entries,
        parameters=("limit", "after"),
        errors=(400, 404),
        tagged=True,
    ),
    Operation(
        path="/v1/pages/{page}/feed.json",
        summary="A page as JSON Feed 1.1.",
        answer="application/feed+json",
        errors=(404,),
        tagged=True,
    ),
    Operation(
        path="/v1/pages/{page}/feed.atom",
        summary="A page as Atom (RFC 4287).",
        answer="application/atom+xml",
        errors=(404,),
        tagged=True,
    ),
    Operation(
        path="/v1/pages/{page}/history",
        summary="A page as it was at a moment.",
        answer=answers.History,
        parameters=("at",),
        errors=(400, 404),
    ),
    Operation(
        path="/v1/pages/{page}/entries/{entry}/revisions",
        summary="All that is kept of an entry; with from and to, what differs word by word.",
        answer=answers.Revisions,
        other=answers.Difference,
        parameters=("from", "to"),
        errors=(404,),
    ),
    Operation(
        path="/v1/alerts",
        summary="What has become of each alert, those raised last first.",
        answer=answers.Alerts,
        parameters=("page", "rule", "state", "limit", "after"),
        tagged=True,
    ),
    Operation(
        path="/v1/rules",
        summary="The rules for alerts. For operators.",
        answer=answers.Rules,
    ),
    Operation(
        path="/v1/rules/{rule}",
        method="put",
        summary="Set a rule for alerts. For operators.",
        answer=answers.KnownRule,
        statuses=(200, 201),
        body=RuleSettings,
        errors=(400, 409, 413, 415),
    ),
    Operation(
        path="/v1/rules/{rule}",
        method="delete",
        summary="Take a rule away that was set over HTTP. For operators.",
        answer=None,
        statuses=(204,),
        errors=(404, 409),
    ),
    Operation(
        path="/v1/push",
        summary="The key that a browser subscribes to pushes with.",
        answer=answers.Push,
        errors=(404,),
    ),
    Operation(
        path="/v1/push/subscriptions",
        method="post",
        summary="Push alerts to a browser: what its PushSubscription.toJSON() gives.",
        answer=answers.PushSubscribed,
        statuses=(200, 201),
        body=PushSubscription,
        errors=(404, 413, 415),
    ),
    Operation(
        path="/v1/push/subscriptions/{id}",
        method="delete",
        summary="Push nothing there any more.",
        answer=None,
        statuses=(204,),
        errors=(404,),
    ),
    Operation(path="/healthz", summary="Is the process alive?", answer=answers.Status, open=True),
    Operation(
        path="/readyz",
        summary="Does Redis answer, and is the stream read?",
        answer=answers.Status,
        open=True,
    ),
    Operation(path="/metrics", summary="Metrics for Prometheus.", answer="text/plain"),
    Operation(path="/", summary="A web page that shows the feed.", answer="text/html", open=True),
    Operation(
        path="/sw.js",
        summary="The page's service worker, which shows pushes.",
        answer="text/javascript",
        open=True,
    ),
    Operation(path="/openapi.json", summary="This document.", answer=JSON, open=True),
    Operation(path="/asyncapi.json", summary="The feed and the streams.", answer=JSON, open=True),
)
_WORDS = {"type": "array", "items": {"type": "string", "maxLength": 200}, "maxItems": 200}
_PARAMETERS: dict[str, tuple[str, dict[str, Any]]] = {
    "page": ("Ids of pages.", _WORDS),
    "type": ("Types of events, such as entry.edited, or entry, page or alert.", _WORDS),
    "label": ("Labels of entries.", _WORDS),
    "author": ("Names of authors, in any case.", _WORDS),
    "text": ("Words in an entry's title or text, in any case.", _WORDS),
    "cursor": ("A position that the gateway has named.", {"type": "string"}),
    "rule": ("Names of rules.", _WORDS),
    "state": (
        "What an alert is now.",
        _WORDS | {"items": {"type": "string", "enum": list(get_args(answers.AlertState))}},
    ),
    "limit": ("How many at most.", {"type": "integer", "minimum": 1, "maximum": 200}),
    "wait": ("Seconds to wait for one.", {"type": "integer", "minimum": 0, "maximum": 60}),
    "after": ("How many to leave out.", {"type": "integer", "minimum": 0, "maximum": 10**8}),
    "at": ("A moment.", {"type": "string", "format": "date-time"}),
    "from": ("Number of a revision.", {"type": "integer", "minimum": 1}),
    "to": ("Number of a revision.", {"type": "integer", "minimum": 1}),
}
_SAID = {
    101: "The feed begins.",
    200: "Here it is.",
    201: "So it is from now on.",
    204: "So it is no more.",
    304: "Nothing has changed.",
    400: "Something in the question is wrong.",
    401: "A key or token is needed.",
    403: "Not with this key, or not for this web page.",
    404: "There is no such thing.",
    409: "Something else has that name.",
    410: "The position cannot be resumed from.",
    413: "The body is too long.",
    415: "The body is not application/json.",
    429: "Too many connections.",
    503: "Redis is away, or the gateway is full.",
}


def openapi() -> dict[str, Any]:
    """The OpenAPI document."""
    paths: dict[str, dict[str, Any]] = {}
    for one in OPERATIONS:
        paths.setdefault(one.path, _path_parameters(one.path))[one.method] = _operation(one)
    given = {kind for one in OPERATIONS for kind in (one.answer, one.other)}
    kinds = {kind for kind in given if isinstance(kind, type)}
    bodies = {one.body for one in OPERATIONS if one.body}
    used = sorted({*kinds, *bodies, answers.Problem, *FED}, key=lambda kind: kind.__name__)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Stoppress gateway",
            "version": __version__,
            "description": "Events of live pages, what is followed, and alerts.",
            "license": LICENSE,
        },
        "security": [{}, {"bearer": []}, {"basic": []}, {"address": []}],
        "paths": paths,
        "components": {
            "schemas": schemas(*used),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic"},
                "address": {"type": "apiKey", "in": "query", "name": "access_token"},
            },
        },
    }


def _path_parameters(path: str) -> dict[str, Any]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    described = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in names
    ]
    return {"parameters": described} if described else {}


def _operation(one: Operation) -> dict[str, Any]:
    refused = {400, 401, 403, *one.errors} if not one.open else {400, 403, *one.errors}
    statuses = sorted({*one.statuses, *({304} if one.tagged else ()), *refused, 503})
    described: dict[str, Any] = {
        "summary": one.summary,
        "operationId": f"{one.method}{one.path.replace('/', '-').replace('.', '-')}",
        "responses": {str(status): _response(one, status) for status in statuses},
    }
    parameters = [_parameter(name) for name in one.parameters]
    if one.tagged:
        parameters.append({"name": "If-None-Match", "in": "header", "schema": {"type": "string"}})
    if parameters:
        described["parameters"] = parameters
    if one.body:
        described["requestBody"] = {
            "required": True,
            "content": {JSON: {"schema": _ref(one.body)}},
        }
    if one.open:
        described["security"] = []
    return described


def _parameter(name: str) -> dict[str, Any]:
    words, schema = _PARAMETERS[name]
    described: dict[str, Any] = {"name": name, "in": "query", "schema": schema}
    described["description"] = words
    if schema["type"] == "array":
        described |= {"style": "form", "explode": True}
    return described


def _response(one: Operation, status: int) -> dict[str, Any]:
    response: dict[str, Any] = {"description": _SAID[status]}
    if status >= 400:
        response["content"] = {"application/problem+json": {"schema": _ref(answers.Problem)}}
        if status == 400:  # what is no HTTP, or has an address of over 8190 bytes
            response["content"]["text/plain"] = {}
    elif status in {200, 201} and isinstance(one.answer, str):
        response["content"] = {one.answer: {}}
    elif status in {200, 201} and one.answer:
        either = [_ref(kind) for kind in (one.answer, one.other) if kind]
        response["content"] = {JSON: {"schema": {"anyOf": either} if one.other else either[0]}}
    if status == 200 and one.tagged:
        response["headers"] = {"ETag": {"schema": {"type": "string"}}}
    if status == 200 and one.answer is answers.Events:
        response["content"]["text/event-stream"] = {}
    return response


# --- AsyncAPI ------------------------------------------------------------------------------------


def asyncapi() -> dict[str, Any]:
    """The AsyncAPI document."""
    said, heard = get_args(protocol.Message), get_args(protocol.Said)
    keys = Keys()
    streams = {
        "events": (keys.events, EVENTS, "Entry and page events, in the order of their commits."),
        "alerts": (keys.alerts, (AlertEvent,), "Alert events."),
    }
    channels: dict[str, Any] = {
        "feed": {
            "address": "/v1/feed",
            "title": "The feed",
            "description": f"Subprotocol {SUBPROTOCOL}. Each message is one JSON object.",
            "servers": [{"$ref": "#/servers/gateway"}],
            "messages": _messages(*said, *heard),
            "bindings": {"ws": {"method": "GET", "query": _query(), "bindingVersion": "0.1.0"}},
        }
    }
    operations: dict[str, Any] = {
        "tell": _async_operation("send", "feed", "The gateway tells a subscriber.", said),
        "hear": _async_operation("receive", "feed", "A subscriber asks the gateway.", heard),
    }
    for name, (address, kinds, words) in streams.items():
        channels[name] = {
            "address": address,
            "title": f"The stream of {name}",
            "description": f"{words} Each attribute of the CloudEvent is a field; `data` is JSON.",
            "servers": [{"$ref": "#/servers/redis"}],
            "messages": _messages(*kinds),
        }
        operations[f"publish-{name}"] = _async_operation("send", name, words, kinds)
    every = (*said, *heard, *FED, Health)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Stoppress", "version": __version__, "license": {"name": "Apache-2.0"}},
        "defaultContentType": JSON,
        "servers": {
            "gateway": {"host": "127.0.0.1:8037", "protocol": "ws"},
            "redis": {"host": "127.0.0.1:6379", "protocol": "redis"},
        },
        "channels": channels,
        "operations": operations,
        "components": {
            "schemas": schemas(*every),
            "messages": {
                kind.__name__: {"name": _tag(kind), "payload": _ref(kind)}
                for kind in (*said, *heard, *FED)
            },
        },
    }


def _tag(kind: type[Struct]) -> str:
    return str(kind.__struct_config__.tag or kind.__name__)


def _messages(*kinds: type[Struct]) -> dict[str, Any]:
    return {one.__name__: {"$ref": f"#/components/messages/{one.__name__}"} for one in kinds}


def _async_operation(
    action: str, channel: str, summary: str, kinds: tuple[type[Struct], ...]
) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/{channel}/messages/{one.__name__}"} for one in kinds],
    }


def _query() -> dict[str, Any]:
    properties = {name: {"type": "string", "description": _PARAMETERS[name][0]} for name in FILTERS}
    return {"type": "object", "properties": properties}
