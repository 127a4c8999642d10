"""Apprise says yes or no: what is taken is seen, and what is not is tried again."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable

import pytest

from service.config import AppriseSettings
from service.errors import ConfigError
from tests.alert_samples import alert_event
from tests.receivers.apprise import JsonReceiver
from tests.receivers.http import Fault, Status
from workers.alerts.channels import Undeliverable
from workers.alerts.channels.apprise import AppriseChannel
from workers.alerts.text import Templates


@pytest.fixture
async def receiver() -> AsyncIterator[JsonReceiver]:
    async with JsonReceiver().serving() as receiver:
        yield receiver


def channel(receiver: JsonReceiver, options: str = "", timeout_s: float = 20.0) -> AppriseChannel:
    url = receiver.url.replace("http", "json", 1) + "/" + options
    return AppriseChannel("desk", AppriseSettings(url=url, timeout_s=timeout_s), Templates())


async def failure_of(sending: Awaitable[None]) -> Undeliverable:
    with pytest.raises(Undeliverable) as failed:
        await sending
    return failed.value


async def test_each_event_of_an_alert_is_a_message_that_says_which_it_is(
    receiver: JsonReceiver,
) -> None:
    for kind in ("raised", "updated", "retracted"):
        await channel(receiver).send(alert_event(kind), None)
    assert [seen.split(":")[0] for seen in receiver.visible()] == [
        "BREAKING", "UPDATED", "RETRACTED",
    ]  # fmt: skip
    assert receiver.types == ["warning", "info", "info"]
    assert receiver.messages[0].endswith("https://news.example/live/1#e1")


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Status(500), "error=500"),
        (Status(403), "error=403"),
        (Status(429, {"Retry-After": "7"}), "error=429"),
        (Fault.CUT, "Connection error"),
    ],
)
async def test_what_is_not_taken_is_tried_again_with_what_apprise_says_of_it(
    receiver: JsonReceiver, fault: Fault | Status, says: str
) -> None:
    receiver.faults = [fault]
    failure = await failure_of(channel(receiver).send(alert_event(), None))
    assert receiver.fired == [fault]
    assert (failure.code, failure.retryable, failure.gone) == ("apprise_failed", True, False)
    assert says in failure.what
    assert receiver.visible() == []
    await channel(receiver).send(alert_event(), None)
    assert len(receiver.visible()) == 1


async def test_what_was_taken_without_an_answer_is_seen_twice(receiver: JsonReceiver) -> None:
    receiver.faults = [Fault.LOST]
    failure = await failure_of(channel(receiver).send(alert_event(), None))
    assert (failure.code, failure.retryable) == ("apprise_failed", True)
    await channel(receiver).send(alert_event(), None)
    assert len(receiver.visible()) == 2


async def test_one_that_does_not_answer_in_time_keeps_nobody_waiting(
    receiver: JsonReceiver,
) -> None:
    receiver.faults = [Fault.SLOW]
    failure = await failure_of(channel(receiver, timeout_s=0.5).send(alert_event(), None))
    assert failure.retryable
    await channel(receiver).send(alert_event(), None)
    assert len(receiver.visible()) == 1


async def test_a_redirect_is_not_followed(receiver: JsonReceiver) -> None:
    receiver.faults = [Status(307, {"Location": f"{receiver.url}/"})]
    failure = await failure_of(channel(receiver).send(alert_event(), None))
    assert failure.code == "apprise_failed"
    assert receiver.requests == 1


NASTY = "<b>x</b> **x** [a](https://evil.example) `x` <!channel> @everyone <@1> :boom: \\n"


@pytest.mark.parametrize("options", ["?format=markdown", "?format=html", "?format=text"])
async def test_what_a_page_says_is_no_markup_and_names_nobody(
    receiver: JsonReceiver, options: str
) -> None:
    await channel(receiver, options).send(alert_event(title=NASTY), None)
    (seen,) = receiver.visible()
    assert not re.search(r"@\w|<(?!\u2060|br/>)", seen)
    assert ":boom" in seen.replace("\\", "")
    if options == "?format=html":
        assert "&lt;" in seen
    if options == "?format=markdown":
        bare = re.sub(r"\\[^0-9A-Za-z\s]", "", seen)
        assert not re.search(r"[*`\[\]]", bare)


async def test_each_delivery_keeps_its_own_reason(receiver: JsonReceiver) -> None:
    receiver.faults = [Status(500), Status(500)]
    one = channel(receiver)
    failures = await asyncio.gather(
        *(failure_of(one.send(alert_event(entry=name), None)) for name in ("e1", "e2"))
    )
    assert all(failure.what.count("error=500") == 1 for failure in failures)


@pytest.mark.parametrize(
    "url", ["bogus://x", "nothing", "json://", "json://a.example, json://b.example"]
)
def test_a_url_that_is_not_one_destination_is_refused_without_being_told(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^alerts.apprise.desk.url: not one URL") as refused:
        AppriseChannel("desk", AppriseSettings(url=url), Templates())
    assert url not in str(refused.value)
