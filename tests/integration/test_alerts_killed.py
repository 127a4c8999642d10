"""A worker killed with SIGKILL at any step costs no alert on any channel, and doubles none where
the receiver can tell that it is the same."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from msgspec import Struct
from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

from service.config import (
    AlertSettings,
    AppriseSettings,
    DiscordSettings,
    EmailSettings,
    NtfySettings,
    PushSettings,
    SlackSettings,
    TelegramSettings,
    WebhookSettings,
)
from service.events import AlertEvent, EntryEvent, Significance, from_fields, to_fields
from service.keys import Keys
from tests.alert_samples import entry_event
from tests.conftest import ROOT
from tests.integration.crashing_worker import Order
from tests.receivers.apprise import JsonReceiver
from tests.receivers.discord import DiscordReceiver
from tests.receivers.http import Fault, HttpReceiver, Status
from tests.receivers.ntfy import NtfyReceiver
from tests.receivers.push import PushService
from tests.receivers.slack import SlackReceiver
from tests.receivers.smtp import MailReceiver
from tests.receivers.telegram import TelegramReceiver
from tests.receivers.webhook import WebhookReceiver
from tests.waiting import eventually
from workers.alerts.delivery import Pace
from workers.subscriptions import Subscriptions

SECRET = "whsec_" + "A" * 32
LEASE_S = 0.5
PACE = Pace(retry_s=0.01, retry_ceiling_s=0.05)
# For a channel that refuses nothing for good: the second try is at the deadline, and is the last.
UNREFUSING = Pace(retry_s=100.0, retry_ceiling_s=100.0)
STEPS = ("raised", "changed", "taken", "sending", "sent", "settled", "buried")
LOST = "answer lost"
FIGURE = Significance(kind="figure", evidence=("9 killed → 12 killed",))


# --- receivers -----------------------------------------------------------------------------------


class Place(Struct):
    """A channel's receiver. settings: with that channel alone. stdout: of the workers.

    took: how many deliveries it took. shown: what people see in the end. fail: what happens to the
    next one that comes; fired: how many such things have happened.
    """

    channel: str
    settings: AlertSettings
    took: Callable[[], int]
    shown: Callable[[], list[str]]
    fail: Callable[[Fault | Status], None]
    fired: Callable[[], int]
    stdout: str = "/dev/null"


def settings(**channel: object) -> AlertSettings:
    given = {"console": False, "claim_after_s": LEASE_S} | channel
    return AlertSettings(**given)  # type: ignore[arg-type]


def settings_of(kind: str, url: str) -> AlertSettings:
    """The settings with one channel that speaks HTTP."""
    match kind:
        case "webhook":
            one = WebhookSettings(f"{url}/hook", SECRET, allow_private=True)
            return settings(webhooks={"desk": one})
        case "ntfy":
            return settings(ntfy={"desk": NtfySettings("desk", url, allow_private=True)})
        case "slack":
            bot = SlackSettings("xoxb-1", "C1", None, f"{url}/api", allow_private=True)
            return settings(slack={"desk": bot})
        case "discord":
            hook = DiscordSettings(f"{url}/api/webhooks/1/token", allow_private=True)
            return settings(discord={"desk": hook})
        case "telegram":
            chat = TelegramSettings("1:A-b_c", "-100", url, allow_private=True)
            return settings(telegram={"desk": chat})
        case "apprise":
            return settings(apprise={"desk": AppriseSettings(url.replace("http", "json", 1))})
        case _:
            push = PushSettings(contact="mailto:a@b.example", allow_private=True)
            return settings(push=push)


RECEIVERS: dict[str, Callable[[], HttpReceiver]] = {
    "webhook": lambda: WebhookReceiver(SECRET),
    "ntfy": NtfyReceiver,
    "slack": SlackReceiver,
    "discord": DiscordReceiver,
    "telegram": TelegramReceiver,
    "apprise": JsonReceiver,
    "push": PushService,
}
KINDS = ("console", *RECEIVERS, "email")


@asynccontextmanager
async def place(kind: str, folder: Path, redis: Redis, keys: Keys) -> AsyncIterator[Place]:
    """One channel and its receiver, served."""
    if kind == "console":
        yield console(folder)
    elif kind == "email":
        async with MailReceiver().serving() as mail:
            yield mailbox(mail)
    else:
        async with RECEIVERS[kind]().serving() as receiver:
            if isinstance(receiver, PushService):
                kept = Subscriptions(redis, keys)
                receiver.key = (await kept.vapid_key()).public
                await kept.add(receiver.subscribe("browser")[1])
            yield Place(
                channel="push" if kind == "push" else f"{kind}:desk",
                settings=settings_of(kind, receiver.url),
                took=lambda: receiver.requests - refused(receiver.fired),
                shown=receiver.visible,
                fail=receiver.faults.append,
                fired=lambda: len(receiver.fired),
            )


def refused(fired: list[Fault | Status]) -> int:
    return sum(fault is not Fault.LOST for fault in fired)


def console(folder: Path) -> Place:
    file = folder / "stdout"
    file.touch()

    def lines() -> list[str]:
        return file.read_text().splitlines()

    return Place(
        channel="console", settings=settings(console=True), took=lambda: len(lines()),
        shown=lines, fail=lambda fault: None, fired=lambda: 1, stdout=str(file),
    )  # fmt: skip


def mailbox(mail: MailReceiver) -> Place:
    one = EmailSettings(
        host="127.0.0.1", port=mail.port, security="none",
        sender="stoppress@news.example", recipients=("ana@desk.example",),
    )  # fmt: skip

    def fail(fault: Fault | Status) -> None:
        mail.faults.append("550 5.7.1 no" if isinstance(fault, Status) else fault)

    return Place(
        channel="email:desk",
        settings=settings(email={"desk": one}),
        took=lambda: len(mail.mailbox),
        shown=lambda: [message["Subject"] for _, message in mail.mailbox],
        fail=fail,
        fired=lambda: len(mail.fired),
    )


# --- workers -------------------------------------------------------------------------------------


class Workers:
    """Processes forked by one that has imported everything. said: what each has said, by name."""

    def __init__(self, process: asyncio.subprocess.Process, redis_url: str) -> None:
        self._process, self._redis_url = process, redis_url
        self.said: dict[str, list[str]] = {}
        self._numbers = itertools.count(1)

    async def start(self, keys: Keys, place: Place, pace: Pace, point: str = "never") -> str:
        """Start a worker; its name, once it is ready."""
        name = f"w{next(self._numbers)}"
        self.said[name] = []
        order = Order(name, self._redis_url, keys.prefix, place.settings, pace, point, place.stdout)
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(order) + b"\n")
        await self._until(name, "ready")
        return name

    async def dies(self, name: str, point: str) -> None:
        """Wait until it has killed itself there."""
        await self._until(name, f"ended {signal.SIGKILL.value}")
        assert f"at {point}" in self.said[name]

    async def _until(self, name: str, words: str) -> None:
        async def has() -> bool:
            ended = [line for line in self.said[name] if line.startswith("ended")]
            assert not ended or words in ended, f"{name} {ended}"
            return words in self.said[name]

        await eventually(has, f"{name} {words}")

    async def listen(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            name, _, words = line.decode().strip().partition(" ")
            self.said[name].append(words)


@pytest.fixture
async def workers(redis_url: str) -> AsyncIterator[Workers]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.crashing_worker"),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    workers = Workers(process, redis_url)
    listening = asyncio.create_task(workers.listen())
    yield workers
    assert process.stdin is not None
    process.stdin.close()
    await process.wait()
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


# --- the run -------------------------------------------------------------------------------------


class Case(Struct):
    """One step on one channel."""

    redis: Redis
    keys: Keys
    place: Place
    workers: Workers

    async def publish(self, event: EntryEvent) -> None:
        await self.redis.xadd(self.keys.events, to_fields(event))  # type: ignore[arg-type]

    async def settled(self, alerts: int) -> None:
        """Until so many events were told of, and nothing is left to do."""

        async def done() -> bool:
            judged = (await self.redis.xpending(self.keys.events, "alerts"))["pending"] == 0
            left = await self.redis.zcard(self.keys.queue(self.place.channel))
            return judged and not left and await self.redis.xlen(self.keys.alerts) >= alerts

        await eventually(done, f"{self.place.channel} to settle")

    async def ledger(self) -> dict[str, str]:
        """What the ledger of the alert says of the channel."""
        (event, *_) = await self.alerts()
        found = await self.redis.hgetall(self.keys.ledger(event.data.alert))
        mine = f"{self.place.channel}:"
        return {
            name.decode().removeprefix(mine): value.decode()
            for name, value in found.items()
            if name.decode().startswith(mine)
        }

    async def alerts(self) -> list[AlertEvent]:
        found = [from_fields(fields) for _, fields in await self.redis.xrange(self.keys.alerts)]
        assert all(isinstance(event, AlertEvent) for event in found)
        return found  # type: ignore[return-value]

    async def run(self, step: str) -> str:
        """Kill a worker at that step, let another go on; what people got."""
        match step:
            case "changed":
                first = await self.workers.start(self.keys, self.place, PACE, "alert.changed")
                await self.publish(entry_event())
                await self.settled(1)
                change = entry_event("edited", sequence=2, changed=("body",), significance=FIGURE)
                await self._killed(first, step, change, PACE)
            case "buried":
                return await self._buried()
            case "answer lost":
                self.place.fail(Fault.LOST)
                await self.workers.start(self.keys, self.place, PACE)
                await self.publish(entry_event())
            case _:
                name = await self.workers.start(self.keys, self.place, PACE, f"alert.{step}")
                await self._killed(name, step, entry_event(), PACE)
        events = 2 if step == "changed" else 1
        await self.settled(events)
        alerts = await self.alerts()
        assert len(alerts) == events
        ledger = await self.ledger()
        assert (ledger["state"], ledger["told"]) == ("delivered", alerts[-1].id)
        assert not {"lease", "sending", "doubt"} & set(ledger)
        assert await self.redis.xlen(self.keys.dead) == 0
        assert self.place.fired() == (step == LOST) or self.place.channel == "console"
        return self._outcome(events)

    async def _killed(self, name: str, step: str, event: EntryEvent, pace: Pace) -> None:
        await self.publish(event)
        await self.workers.dies(name, f"alert.{step}")
        await self.workers.start(self.keys, self.place, pace)

    async def _buried(self) -> str:
        """The receiver refuses it for good, or until its deadline where it can't."""
        is_unrefusing = self.place.channel.startswith("apprise")
        pace = UNREFUSING if is_unrefusing else PACE
        if self.place.channel == "console":
            self.place.stdout = "/dev/full"
        elif is_unrefusing:
            self.place.settings = msgspec.structs.replace(self.place.settings, deadline_s=1.0)
            self.place.fail(Status(500))
        self.place.fail(Status(400))
        name = await self.workers.start(self.keys, self.place, pace, "alert.buried")
        await self._killed(name, "buried", entry_event(), pace)
        await self.settled(1)
        assert self.place.took() == 0
        assert self.place.fired() == 1 + is_unrefusing
        ((_, letter),) = await self.redis.xrange(self.keys.dead)
        assert letter[b"channel"].decode() == self.place.channel
        assert (await self.ledger())["state"] == "dead"
        return "1 dead letter"

    def _outcome(self, events: int) -> str:
        """How often people got what they should get once."""
        shown = self.place.shown()
        assert shown[-1].startswith("BREAKING" if events == 1 else ("UPDATED", "BREAKING UPDATED"))
        is_changed_in_place = events == 2 and len(shown) == 1
        twice = self.place.took() - events
        again = len(shown) - (1 if is_changed_in_place else events)
        assert twice in (0, 1)
        assert again in (0, 1)
        return "once" if not twice else "twice" if again else "twice, shown once"


@pytest.fixture
def case_keys() -> Iterator[Keys]:
    return (Keys(prefix=f"killed-{os.getpid()}-{number}") for number in itertools.count(1))


@pytest.mark.timeout(600)  # twenty seconds, on a machine that does nothing else
async def test_a_worker_killed_at_any_step_loses_no_alert_on_any_channel(
    redis: Redis, case_keys: Iterator[Keys], workers: Workers, tmp_path: Path
) -> None:
    """What comes of it is the table in docs/alerts.md."""
    outcomes: dict[str, dict[str, str]] = {}
    for step in (*STEPS, LOST):
        kinds = [kind for kind in KINDS if (kind, step) != ("console", LOST)]
        async with AsyncExitStack() as stack:
            cases = []
            for kind in kinds:
                folder, keys = tmp_path / step / kind, next(case_keys)
                folder.mkdir(parents=True)
                one = await stack.enter_async_context(place(kind, folder, redis, keys))
                cases.append(Case(redis, keys, one, workers))
            found = await asyncio.gather(*(case.run(step) for case in cases))
        outcomes[step] = dict(zip(kinds, found, strict=True))
    show(outcomes)
    assert outcomes == documented()


def show(outcomes: dict[str, dict[str, str]]) -> None:
    table = Table("killed when", *KINDS, box=None)
    for step, row in outcomes.items():
        table.add_row(step, *(row.get(kind, "") for kind in KINDS))
    Console(width=200).print(table)


def documented() -> dict[str, dict[str, str]]:
    """The table in docs/alerts.md."""
    text = (ROOT / "docs" / "alerts.md").read_text("utf-8")
    lines = text.partition("| Killed when")[2].partition("\n\n")[0].splitlines()
    kinds = [cell.strip(" `") for cell in lines[0].split("|")[1:-1]]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]]
    return {
        re.findall(r"`([\w ]+)`", head)[0]: {k: c for k, c in zip(kinds, cells, strict=True) if c}
        for head, *cells in rows
    }
