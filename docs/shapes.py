"""JSON Schemas made from the types, narrowed to what the wire really carries."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, get_args

import msgspec
from msgspec import Struct
from msgspec import inspect as types

from service import config, events, history, model
from service.events import AlertEvent, CanaryEvent, EntryEvent, PageEvent
from service.model import Entry
from workers import subscriptions
from workers.gateway import answers, protocol

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SCHEMAS: dict[str, tuple[type[Struct], ...]] = {
    "entry": (Entry,),
    "entry-event": (EntryEvent,),
    "page-event": (PageEvent,),
    "alert-event": (AlertEvent,),
    "canary-event": (CanaryEvent,),
    "snapshot": (protocol.PageSnapshot,),
    "feed-message": get_args(protocol.Message),
    "feed-request": get_args(protocol.Said),
}
_DIGEST = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
_MOMENT = {"type": "string", "format": "date-time"}
_IN_CHAIN = {
    "sequence": {
        "type": "string",
        "pattern": "^[0-9]{20}$",
        "description": "Number of the event in its page's chain, from 1, zero-padded to 20 digits.",
    },
    "previousid": _DIGEST
    | {"description": "Id of the page's previous event; absent from the first one."},
}
# What the wire says more narrowly than the types can.
NARROWER: dict[str, dict[str, dict[str, Any]]] = {
    "EntryEvent": {"id": _DIGEST, "time": _MOMENT, **_IN_CHAIN},
    "PageEvent": {"id": _DIGEST, "time": _MOMENT, **_IN_CHAIN},
    "AlertEvent": {"id": _DIGEST, "time": _MOMENT},
    "CanaryEvent": {"id": _DIGEST, "time": _MOMENT},
    "EntryData": {"revision": {"type": "integer", "minimum": 1}},
    "EventMessage": {
        "sent": _MOMENT,
        "event": {
            "anyOf": [
                {"$ref": f"{name}-event.json"} for name in ("entry", "page", "alert", "canary")
            ]
        },
    },
}


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema of that name, complete in itself but for a feed message's event."""
    roots, parts = components(SCHEMAS[name], "#/$defs/{name}")
    root = roots[0] if len(roots) == 1 else {"oneOf": list(roots)}
    return {"$schema": DIALECT, "$id": f"{name}.json", **root, "$defs": parts}


def components(
    kinds: tuple[type[Struct], ...], refs: str
) -> tuple[tuple[dict[str, Any], ...], dict[str, dict[str, Any]]]:
    """The schemas of types, and those of all types within. refs: how one refers to another."""
    roots, parts = msgspec.json.schema_components(kinds, ref_template=refs)
    return roots, {key: _refined(key, parts[key]) for key in sorted(parts)}


def _refined(name: str, part: dict[str, Any]) -> dict[str, Any]:
    part = _undiscriminated(part)
    part["description"] = inspect.cleandoc(part["description"])
    properties = part["properties"]
    for key in _moments(name):
        for place in (properties[key], *properties[key].get("anyOf", ())):
            if place.get("type") == "string":
                place["format"] = "date-time"
    properties |= NARROWER.get(name, {})
    if name in ("EntryEvent", "PageEvent"):
        part["required"].append("sequence")
    if name in ("AlertEvent", "CanaryEvent"):
        for key in _IN_CHAIN:
            del properties[key]
    return part


def _undiscriminated(value: Any) -> Any:
    """Without OpenAPI's `discriminator`, which is no word of JSON Schema."""
    match value:
        case dict():
            return {k: _undiscriminated(v) for k, v in value.items() if k != "discriminator"}
        case list() | tuple():
            return [_undiscriminated(inner) for inner in value]
        case _:
            return value


def _moments(name: str) -> Iterator[str]:
    """The fields of a type that are datetimes."""
    kind = next(
        getattr(m, name)
        for m in (protocol, events, model, answers, history, config, subscriptions)
        if hasattr(m, name)
    )
    found = types.type_info(kind)
    assert isinstance(found, types.StructType)
    for field in found.fields:
        several = field.type.types if isinstance(field.type, types.UnionType) else (field.type,)
        if any(isinstance(one, types.DateTimeType) for one in several):
            yield field.name
