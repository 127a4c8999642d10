"""docs/ says what the program does: nothing generated is old, nothing public is left out, and every
example, link and test that is mentioned is real."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import jsonschema
import msgspec
import pytest
from redis import Redis
from referencing import Registry, Resource
from standardwebhooks import Webhook

from docs import generate
from service import config
from service.embedded import embedded
from service.errors import SubscriberError
from service.events import AlertType, EntryType, Kind, PageType, from_json, to_fields
from service.keys import Keys
from service.model import HealthStatus
from service.observability import REGISTRY
from workers.gateway import answers, protocol
from workers.gateway.subscription import FILTERS

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
SECRET = "whsec_" + "A" * 32
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def text(page: str) -> str:
    return (ROOT / "docs" / f"{page}.md").read_text("utf-8")


def blocks(language: str) -> list[Any]:
    """Every example in that language, named after its page."""
    return [
        pytest.param(found[2], id=f"{page.stem}-{number}")
        for page in PAGES
        for number, found in enumerate(BLOCK.finditer(page.read_text("utf-8")))
        if found[1] == language
    ]


def block(page: str, defines: str) -> dict[str, Any]:
    """The names that a Python example on a page defines."""
    source = next(found[2] for found in BLOCK.finditer(text(page)) if f"def {defines}" in found[2])
    names: dict[str, Any] = {}
    exec(source, names)
    return names


def said(page: str) -> set[str]:
    """What stands in `code` on a page, word by word."""
    spans = re.findall(r"`([^`\n]+)`", BLOCK.sub("", text(page)))
    return {word for span in spans for word in (span, *re.split(r"[\s,=?&]+", span))}


def schema_file(name: str) -> Any:
    return json.loads((ROOT / "docs" / "schemas" / f"{name}.json").read_text("utf-8"))


# --- what is generated ---------------------------------------------------------------------------


def test_generated_parts_are_up_to_date() -> None:
    assert generate.outdated() == [], "run: make docs"


def test_the_check_names_what_is_out_of_date(tmp_path: Path) -> None:
    command = "import sys; from docs import generate as g; g.DOCS = g.Path(sys.argv[1]) / 'docs'; "
    (tmp_path / "docs").mkdir()
    ran = subprocess.run(
        [sys.executable, "-c", command + "g.main(['--check'])", tmp_path],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == "docs/schemas/entry.json is out of date; run: make docs\n"


def test_every_generated_part_has_its_place() -> None:
    places = {found["name"] for page in PAGES for found in generate.PART.finditer(page.read_text())}
    assert places == set(generate.parts())


# --- nothing is left out -------------------------------------------------------------------------


def test_every_event_type_is_in_the_docs() -> None:
    assert {kind for one in (EntryType, PageType, AlertType) for kind in get_args(one)} <= said(
        "events"
    )


def parts() -> dict[str, dict[str, Any]]:
    """Every type of every schema by its name."""
    return {name: part for n in generate.SCHEMAS for name, part in schema_file(n)["$defs"].items()}


@pytest.mark.parametrize("name", parts())
def test_every_field_of_a_schema_is_in_the_docs(name: str) -> None:
    assert set(parts()[name]["properties"]) <= said("events") | said("alerts") | said("feed")


def test_every_kind_of_edit_is_told_in_the_order_in_which_it_is_tried() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \|", text("events").split("`significance.kind`")[1], re.MULTILINE
    )
    assert rows[: len(get_args(Kind))] == list(get_args(Kind))


def test_every_health_status_is_in_the_docs() -> None:
    assert set(get_args(HealthStatus)) <= said("events")


def test_every_setting_is_in_the_docs() -> None:
    known = said("configuration")
    for row in generate.settings():
        assert row.name in known
        assert row.meaning
    variables = {f"STOPPRESS_{name}".upper() for name, _, _ in config._settable()}
    shown = {row.variable for row in generate.settings()} - {""}
    assert variables == shown


def test_every_command_is_in_the_docs() -> None:
    for name in generate.commands():
        assert f"stoppress {name}" in text("configuration")


def test_every_message_filter_and_close_code_of_the_feed_is_in_the_docs() -> None:
    for kind in (*get_args(protocol.Message), *get_args(protocol.Said)):
        assert f"### {kind.__struct_config__.tag}\n" in text("feed")
    assert {*FILTERS, "cursor"} <= said("feed")
    for close in protocol.CLOSES:
        assert f"| {close.code} | `{close.name}` |" in text("feed")


def test_every_metric_is_in_the_docs() -> None:
    assert set(metrics()) <= said("feed")


def metrics() -> Iterator[str]:
    for family in REGISTRY.collect():
        yield family.name + ("_total" if family.type == "counter" else "")


def codes(where: str, *calls: str) -> set[str]:
    """The codes with which errors are made there; NNN stands for what is put in."""
    found = set()
    for path in ROOT.glob(where):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in calls:
                found |= set(map(code, node.args[:2]))
    return {name for name in found if re.fullmatch(r"[a-z_]+[._]?[\w.]+", name)}


def code(argument: ast.expr) -> str:
    match argument:
        case ast.Constant(value=str(value)):
            return value
        case ast.JoinedStr(values=[ast.Constant(value=str(value)), *_]):
            return f"{value}NNN"
        case _:
            return ""


def test_every_error_code_of_the_gateway_is_in_the_docs() -> None:
    errors = (
        *("SubscriberError", "UnavailableError", "NotFoundError", "Error", "_reset"),
        *("AccessError", "TooManyError", "ResetError"),
    )
    made = codes("workers/gateway/*.py", *errors)
    made |= codes("workers/gateway/rules.py", "ConfigError", "NotFoundError")
    made |= codes("workers/subscriptions.py", "SubscriberError", "FullError")
    made |= codes("workers/rulebook.py", "FullError")
    assert {"cursor.malformed", "gateway.full", "http.NNN", "push.full", "push.address"} <= made
    assert made <= said("feed")


def test_every_reason_of_page_health_is_in_the_docs() -> None:
    made = codes("service/fetch.py", "PageError", "_failed")
    made |= codes("service/sources/*.py", "PageError")
    made |= codes("service/diff.py", "Doubt") | codes("service/poll.py", "PageError")
    assert {"http.timeout", "http.NNN", "page.mass_loss", "page.broke_us", "page.blocked"} <= made
    assert made <= said("events")


def test_every_reason_of_a_dead_letter_is_in_the_docs() -> None:
    made = codes("workers/alerts/**/*.py", "Undeliverable", "_give_up", "CorruptionError")
    assert {"expired", "timeout", "http_NNN", "event.misplaced"} <= made
    assert made <= said("alerts")


# --- what is mentioned exists --------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_test_that_is_mentioned_exists(page: Path) -> None:
    for file, name in re.findall(r"(tests/[\w/]+\.py)::(\w+)", page.read_text("utf-8")):
        assert re.search(
            rf"^(async )?def {name}\(", (ROOT / file).read_text("utf-8"), re.MULTILINE
        ), name


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.stem)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        path, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.stem)
def test_lines_are_short_but_for_tables(page: Path) -> None:
    outside = BLOCK.sub("", page.read_text("utf-8")).splitlines()
    assert [line for line in outside if len(line) > 120 and not line.startswith("|")] == []


# --- examples ------------------------------------------------------------------------------------


def validator(name: str) -> jsonschema.Draft202012Validator:
    files = {f"{each}.json": schema_file(each) for each in generate.SCHEMAS}
    every = Registry().with_resources(
        (each, Resource.from_contents(schema)) for each, schema in files.items()
    )
    return jsonschema.Draft202012Validator(
        files[f"{name}.json"],
        registry=every,
        format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
    )


@pytest.mark.parametrize("name", generate.SCHEMAS)
def test_every_schema_is_valid(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema_file(name))


@pytest.mark.parametrize("example", blocks("json"))
def test_every_json_example_is_valid(example: str) -> None:
    value = json.loads(example)
    if "specversion" in value:
        family = value["type"].split(".")[1]
        validator(f"{family}-event").validate(value)
        assert from_json(example.encode()).id == value["id"]
    elif "title" in value:
        assert value == as_problem(value)
    elif value["type"] in {"ping", "subscribe", "unsubscribe"}:
        validator("feed-request").validate(value)
        assert protocol.encode(protocol.heard(example)) == msgspec.json.encode(value)
    else:
        validator("feed-message").validate(value)
        assert "event" not in value or from_json(json.dumps(value["event"]).encode())


def as_problem(value: dict[str, Any]) -> dict[str, Any]:
    """The problem that the gateway answers to a cursor that is none."""
    with pytest.raises(SubscriberError) as refused:
        protocol.position("nonsense")
    return msgspec.to_builtins(answers.problem(refused.value, value["status"]))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("sequence",), "7"),
        (("id",), "XYZ"),
        (("type",), "stoppress.page.opened"),
        (("data", "revision"), 0),
        (("data", "entry", "published"), 5),
    ],
)
def test_a_schema_refuses_what_is_no_event(path: tuple[str, ...], value: object) -> None:
    event = json.loads(generate.examples()["event-published"])
    validator("entry-event").validate(event)
    inner = event
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        validator("entry-event").validate(event)


@pytest.mark.parametrize("example", blocks("toml"))
def test_every_toml_example_is_accepted(example: str, tmp_path: Path) -> None:
    path = tmp_path / "stoppress.toml"
    path.write_text(example, "utf-8")
    names = re.findall(r'"\$\{(\w+)\}"', example)
    environ = {name: "https://a.example/b" if name.endswith("_URL") else SECRET for name in names}
    loaded = msgspec.to_builtins(config.load(path, environ, {}))
    assert set(tomllib.loads(example)) <= set(loaded)


@pytest.fixture(scope="module")
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """A server of its own, with the prefix and the events that the docs show."""
    with embedded(tmp_path_factory.mktemp("docs"), sync=False) as url, Redis.from_url(url) as redis:
        for event in generate.sample()[1]:
            redis.xadd(Keys().events, {**to_fields(event)})
        yield redis


@pytest.mark.parametrize("example", blocks("sh"))
def test_every_redis_command_is_one(example: str, own_redis: Redis) -> None:
    for line in example.splitlines():
        program, *words = shlex.split(line)
        if program == "curl":  # run by tests/integration/test_gateway_doors.py and _alerts.py
            continue
        if program == "stoppress":
            assert any(" ".join(words).startswith(name) for name in generate.commands())
            continue
        assert program == "redis-cli"
        answer = own_redis.execute_command(*words)  # type: ignore[no-untyped-call]
        assert answer if words[0] == "XREAD" else answer is not None


def test_the_example_reads_every_event_once_and_the_chain_holds(own_redis: Redis) -> None:
    names = block("events", "read") | block("events", "place")
    at, events = names["read"](own_redis)
    assert [from_json(json.dumps(event).encode()) for event in events] == generate.sample()[1]
    chain = zip([None, *events], events, strict=False)
    assert {names["place"](last, event) for last, event in chain} == {"next"}
    assert names["place"](events[2], events[1]) == "repeated"
    assert names["place"](events[0], events[2]) == "missed"
    again, more = names["read"](own_redis, at.decode())
    assert (again, more) == (at.decode(), [])


def test_the_example_verifies_a_webhook() -> None:
    verify = block("alerts", "alert_in")["alert_in"]
    body, now = generate.examples()["event-alert"].decode(), datetime.now(UTC)
    headers = {
        "webhook-id": "1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("1", now, body),
    }
    assert verify(body.encode(), headers, SECRET) == json.loads(body)
    assert verify(body.replace("breaking", "calm").encode(), headers, SECRET) is None


def test_the_example_makes_a_secret_that_is_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    exec(next(found[2] for found in BLOCK.finditer(text("configuration")) if found[1] == "python"))
    secret = capsys.readouterr().out.strip()
    msgspec.convert({"url": "https://example.org", "secret": secret}, config.WebhookSettings)
