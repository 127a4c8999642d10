"""Which pages are followed, changed over HTTP by those who may; and the description of all that."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema
import pytest
from redis.asyncio import Redis

from docs import interfaces
from service.config import GatewaySettings, KeySettings, PushSettings
from service.keys import Keys
from tests.integration.test_gateway import SETTINGS, Desk
from workers.gateway import app
from workers.gateway.access import OPEN_PATHS

KEYS = {
    "desk": KeySettings(secret="d" * 24, operate=True),
    "sport": KeySettings(secret="s" * 24, operate=True, pages=("sport-*",)),
    "reader": KeySettings(secret="r" * 24),
}
LOCKED = GatewaySettings(port=0, keys=KEYS)
HARBOUR = {"url": "http://127.0.0.1:9/live", "id": "harbour"}


@pytest.fixture
def desk(redis: Redis, redis_url: str, keys: Keys) -> Desk:
    return Desk(redis, redis_url, keys)


async def asked(
    desk: Desk, method: str, path: str, said: object = None, **headers: str
) -> tuple[int, Any]:
    """Status and decoded answer."""
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, desk.gateway + path, json=said, headers=headers) as answer,
    ):
        body = await answer.read()
        return answer.status, json.loads(body) if body else None


async def test_a_page_is_followed_once_and_then_no_more(desk: Desk) -> None:
    async with desk.serving():
        status, first = await asked(desk, "POST", "/v1/pages", HARBOUR)
        assert (status, first["is_new"], first["page"]["id"]) == (201, True, "harbour")
        assert (await asked(desk, "POST", "/v1/pages", HARBOUR))[0] == 200
        assert [*(await desk.store.pages())] == ["harbour"]
        assert (await asked(desk, "GET", "/v1/pages/harbour"))[0] == 200
        assert await asked(desk, "DELETE", "/v1/pages/harbour") == (204, None)
        assert (await asked(desk, "DELETE", "/v1/pages/harbour"))[1]["code"] == "page.unknown"
    assert await desk.store.pages() == {}


@pytest.mark.parametrize(
    ("said", "status", "code", "named"),
    [
        ({"url": "nonsense"}, 400, "config.invalid", "url"),
        ({"id": "x"}, 400, "config.invalid", "url"),
        (HARBOUR | {"colour": 1}, 400, "config.unknown", "colour"),
        (HARBOUR | {"zone": "Mars/Base"}, 400, "config.invalid", "Mars/Base"),
        (HARBOUR | {"source": "no-such"}, 400, "source.unknown", "no-such"),
        ({"url": "https://news.example/live"}, 400, "poll.contact_missing", "contact"),
        ({"url": "http://127.0.0.1:9/other", "id": "page"}, 409, "page.id_taken", "page"),
        ([], 400, "config.invalid", "object"),
    ],
)
async def test_a_page_that_cannot_be_followed_is_refused_with_what_is_wrong(
    desk: Desk, said: object, status: int, code: str, named: str
) -> None:
    await desk.publish(1)
    before = await desk.store.pages()
    async with desk.serving():
        answered, problem = await asked(desk, "POST", "/v1/pages", said)
    assert (answered, problem["code"]) == (status, code)
    assert named in problem["detail"]
    assert await desk.store.pages() == before


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"{", "application/json", 400, "body.malformed"),
        (b"\xff", "application/json", 400, "body.malformed"),
        (b"[" * 100_000, "application/json", 400, "config.invalid"),
        (b" " * 2_000_000, "application/json", 413, "body.too_long"),
        (b"{}", "text/plain", 415, "body.type"),
    ],
)
async def test_a_body_that_is_none_is_refused(
    desk: Desk, body: bytes, kind: str, status: int, code: str
) -> None:
    async with desk.serving(), aiohttp.ClientSession() as http:
        headers = {"Content-Type": kind}
        data = io.BytesIO(body)  # as aiohttp wants large ones
        async with http.post(f"{desk.gateway}/v1/pages", data=data, headers=headers) as answer:
            assert (answer.status, (await answer.json())["code"]) == (status, code)


@pytest.mark.parametrize(
    ("key", "page", "status", "code"),
    [
        ("d", "harbour", 201, None),
        ("s", "sport-cup", 201, None),
        ("s", "harbour", 403, "access.page"),
        ("r", "harbour", 403, "access.operate"),
        ("x", "harbour", 401, "access.unknown"),
    ],
)
async def test_only_operators_change_pages_and_only_theirs(
    desk: Desk, key: str, page: str, status: int, code: str | None
) -> None:
    async with desk.serving(LOCKED):
        bearer = f"Bearer {key * 24}"
        said = HARBOUR | {"id": page}
        answered, body = await asked(desk, "POST", "/v1/pages", said, Authorization=bearer)
        assert (answered, body.get("code")) == (status, code)
        removed, _ = await asked(desk, "DELETE", f"/v1/pages/{page}", Authorization=bearer)
        assert removed == (204 if status == 201 else status)


async def test_who_may_read_on_an_open_gateway_may_not_operate(desk: Desk) -> None:
    async with desk.serving(GatewaySettings(port=0, open=True)):
        assert (await asked(desk, "GET", "/v1/pages"))[0] == 200
        status, problem = await asked(desk, "POST", "/v1/pages", HARBOUR)
    assert (status, problem["code"]) == (403, "access.operate")


async def test_a_web_page_of_another_site_cannot_make_a_browser_follow_a_page(desk: Desk) -> None:
    async with desk.serving():
        foreign = {"Origin": "https://evil.example"}
        status, problem = await asked(desk, "POST", "/v1/pages", HARBOUR, **foreign)
    assert (status, problem["code"]) == (403, "access.origin")
    assert await desk.store.pages() == {}


# --- the description -----------------------------------------------------------------------------


async def test_every_path_is_described_and_every_described_path_is_there(desk: Desk) -> None:
    described = {(one.method.upper(), one.path) for one in interfaces.OPERATIONS}
    routes = set()
    gateway = app.Gateway.__new__(app.Gateway)
    rooms = (app.Rest, app.Pushes, app.RuleDesk)
    gateway._routes = tuple(route for room in rooms for route in room.__new__(room).routes())
    for route in gateway.app().router.routes():
        path = route.resource.canonical if route.resource else ""
        if route.method != "HEAD" and not path.startswith("/static"):
            routes.add((route.method, path))
    assert routes == described
    assert {path for _, path in described} >= OPEN_PATHS


async def test_the_descriptions_are_served_and_whole(desk: Desk) -> None:
    async with desk.serving(LOCKED):
        for name in ("openapi", "asyncapi"):
            status, document = await asked(desk, "GET", f"/{name}.json")
            assert status == 200
            for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document)):
                place: Any = document
                for step in reference.split("/"):
                    place = place[step]
                assert place


def test_the_description_of_the_feed_fits_its_messages() -> None:
    """Each example of docs/ is a message that the document allows, and a wrong one is not."""
    from docs import generate

    document = interfaces.asyncapi()
    for name, example in generate.examples().items():
        kind = json.loads(example)["type"]
        found = [one for one in document["components"]["messages"].values() if one["name"] == kind]
        wanted = found[0]["payload"] if found else _of_event(kind)
        schema = {"components": document["components"], **wanted}
        jsonschema.validate(json.loads(example), schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(json.loads(example) | {"type": 5}, schema)
        assert name


def _of_event(kind: str) -> dict[str, str]:
    family = kind.split(".")[1].capitalize()
    return {"$ref": f"#/components/schemas/{family}Event"}


@pytest.mark.timeout(600)  # twenty seconds, on a machine that does nothing else
@pytest.mark.parametrize("settings", [SETTINGS, LOCKED], ids=["open", "locked"])
async def test_answers_are_as_the_description_says(
    desk: Desk, settings: GatewaySettings, tmp_path: Path
) -> None:
    """schemathesis asks all kinds of things, sensible and not."""
    await desk.publish(1, 2, 3)
    document = interfaces.openapi()
    for path in document["paths"].values():
        for each in path.get("parameters", ()):
            each["example"] = {"page": "page", "entry": "e1", "id": "x", "rule": "x"}[each["name"]]
    described = tmp_path / "openapi.json"
    described.write_text(json.dumps(document))
    async with desk.serving(settings, push=PushSettings(contact="mailto:a@b.example")) as gateway:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "from schemathesis.cli import schemathesis as st; st()",
            "run", str(described), "--url", gateway, "--max-examples=20", "--seed=1", "--no-color",
            "--phases=examples,coverage,fuzzing", "--request-timeout=20", "--workers=1",
            "--checks=not_a_server_error,status_code_conformance,content_type_conformance,"
            "response_headers_conformance,response_schema_conformance,unsupported_method",
            "--exclude-path=/v1/feed", "--header", f"Authorization: Bearer {'d' * 24}",
            cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            env=os.environ | {"PYTHONWARNINGS": "ignore"},
        )  # fmt: skip
        said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()[-6000:]
    assert re.search(r"\d+ generated", said.decode()), said.decode()[-2000:]
