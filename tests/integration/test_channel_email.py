"""Alerts by e-mail to a real mail server: once for each recipient, in one thread, and safe."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from service.config import EmailSettings
from service.errors import ConfigError
from tests.alert_samples import alert_event
from tests.receivers.http import Fault
from tests.receivers.smtp import PASSWORD, USER, MailReceiver, certificate
from workers.alerts.channels import Undeliverable
from workers.alerts.channels.email import MAX_TRIES_FOR_A_FEW, EmailChannel
from workers.alerts.text import Templates

ANA, BO = "ana@desk.example", "bo@desk.example"


@pytest.fixture
async def server() -> AsyncIterator[MailReceiver]:
    async with MailReceiver().serving() as server:
        yield server


def channel(server: MailReceiver, **given: Any) -> EmailChannel:
    settings: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": server.port,
        "security": "none",
        "sender": "stoppress@news.example",
        "recipients": (ANA,),
        "timeout_s": 2,
    }
    return EmailChannel("desk", EmailSettings(**(settings | given)), Templates())


async def failure_of(sending: Awaitable[None]) -> Undeliverable:
    with pytest.raises(Undeliverable) as failed:
        await sending
    return failed.value


async def test_an_alert_its_update_and_its_retraction_are_one_thread(server: MailReceiver) -> None:
    for kind in ("raised", "updated", "retracted"):
        await channel(server).send(alert_event(kind), None)
    first, second, third = (message for _, message in server.mailbox)
    root = f"<{alert_event().data.alert}@news.example>"
    assert first["Message-ID"] == root
    assert first["In-Reply-To"] is None
    assert second["In-Reply-To"] == second["References"] == third["In-Reply-To"] == root
    assert len({message["Message-ID"] for _, message in server.mailbox}) == 3
    assert second["Subject"] == "UPDATED: General killed in car bomb attack - reports"
    assert second.get_content().splitlines() == [
        "UPDATED: General killed in car bomb attack - reports",
        "",
        "Changed: 9 killed → 12 killed",
        "War in Ukraine, 2025-04-25 09:17 UTC",
        "",
        "https://news.example/live/1#e1",
    ]
    assert (first["Importance"], third["Importance"]) == ("high", None)
    assert first["Auto-Submitted"] == "auto-generated"


async def test_a_second_try_is_the_same_message(server: MailReceiver) -> None:
    event = alert_event()
    server.faults = [Fault.LOST]
    failure = await failure_of(channel(server).send(event, None))
    assert (failure.code, failure.retryable) == ("unreachable", True)
    await channel(server).send(event, None)
    (_, one), (_, other) = server.mailbox
    assert one.as_bytes() == other.as_bytes()


@pytest.mark.parametrize(
    ("fault", "code", "retryable"),
    [
        (Fault.SLOW, "timeout", True),
        (Fault.CUT, "unreachable", True),
        ("451 4.7.1 Greylisted", "smtp_451", True),
        ("421 4.3.2 Too busy", "smtp_421", True),
        ("554 5.7.1 Looks like spam", "smtp_554", False),
    ],
)
async def test_what_a_server_does_not_take_is_named(
    server: MailReceiver, fault: Fault | str, code: str, retryable: bool
) -> None:
    server.faults = [fault]
    failure = await failure_of(channel(server).send(alert_event(), None))
    assert server.fired == [fault]
    assert (failure.code, failure.retryable) == (code, retryable)
    assert server.mailbox == []
    await channel(server).send(alert_event(), None)
    assert [recipient for recipient, _ in server.mailbox] == [ANA]


async def test_who_has_taken_it_is_not_sent_it_again_for_another_s_sake(
    server: MailReceiver,
) -> None:
    server.refusals[BO] = ["450 4.2.2 Over quota", "450 4.2.2 Over quota"]
    both, event = channel(server, recipients=(ANA, BO)), alert_event()
    for _ in range(2):
        failure = await failure_of(both.send(event, None))
        assert (failure.code, failure.retryable) == ("smtp_450", True)
        assert [recipient for recipient, _ in server.mailbox] == [ANA]
    await both.send(event, None)
    assert [recipient for recipient, _ in server.mailbox] == [ANA, BO]


async def test_one_that_is_refused_for_ever_holds_up_nobody(server: MailReceiver) -> None:
    """Else nobody would hear of a correction before the alert's deadline."""
    server.refusals[BO] = ["452 4.2.2 Over quota"] * MAX_TRIES_FOR_A_FEW
    both, event = channel(server, recipients=(ANA, BO)), alert_event()
    for _ in range(MAX_TRIES_FOR_A_FEW - 1):
        assert (await failure_of(both.send(event, None))).retryable
    with capture_logs() as logs:
        await both.send(event, None)
    assert [(entry["recipient"], entry["reason"]) for entry in logs] == [(BO, "smtp_452")]
    assert [recipient for recipient, _ in server.mailbox] == [ANA]


async def test_one_that_is_refused_for_good_keeps_it_from_nobody(server: MailReceiver) -> None:
    server.refusals[BO] = ["550 5.1.1 No such user"]
    with capture_logs() as logs:
        await channel(server, recipients=(BO, ANA)).send(alert_event(), None)
    assert [recipient for recipient, _ in server.mailbox] == [ANA]
    assert logs == [
        {
            "event": "recipient.refused",
            "log_level": "warning",
            "channel": "email:desk",
            "recipient": BO,
            "reason": "smtp_550",
        }
    ]


async def test_one_that_is_refused_for_good_is_logged_though_another_has_to_wait(
    server: MailReceiver,
) -> None:
    server.refusals = {ANA: ["550 5.1.1 No such user"] * 2, BO: ["451 4.7.1 Greylisted"]}
    both, event = channel(server, recipients=(ANA, BO)), alert_event()
    failure = await failure_of(both.send(event, None))
    assert (failure.code, failure.retryable) == ("smtp_451", True)
    with capture_logs() as logs:
        await both.send(event, None)
    assert [(entry["recipient"], entry["reason"]) for entry in logs] == [(ANA, "smtp_550")]
    assert [recipient for recipient, _ in server.mailbox] == [BO]


async def test_when_all_are_refused_for_good_it_is_final(server: MailReceiver) -> None:
    server.refusals = {ANA: ["550 5.1.1 No such user"]}
    failure = await failure_of(channel(server).send(alert_event(), None))
    assert (failure.code, failure.retryable) == ("smtp_550", False)


async def test_no_text_of_a_page_becomes_a_header_or_ends_the_message(
    server: MailReceiver,
) -> None:
    title = "Dead\r\nBcc: all@evil.example\r\n\r\n.\r\nQUIT =?utf-8?q?x?= Ü"
    await channel(server).send(alert_event(title=title), None)
    ((recipient, message),) = server.mailbox
    assert recipient == ANA
    assert message["Bcc"] is None
    assert message["Subject"].startswith("BREAKING: Dead Bcc: all@evil.example . QUIT")


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_it_logs_in_over_tls(tmp_path: Path, security: str) -> None:
    file, context = certificate(tmp_path)
    async with MailReceiver().serving(**{security: context}) as server:
        secure = {"security": security, "ca_file": str(file), "username": USER}
        await channel(server, **secure, password=PASSWORD).send(alert_event(), None)
        assert len(server.mailbox) == 1
        failure = await failure_of(
            channel(server, **secure, password="wrong").send(alert_event(), None)
        )
        assert (failure.code, failure.retryable) == ("smtp_535", False)


async def test_a_server_without_its_certificate_gets_nothing(tmp_path: Path) -> None:
    _, context = certificate(tmp_path)
    async with MailReceiver().serving(starttls=context) as server:
        secure = {"security": "starttls", "username": USER, "password": PASSWORD}
        failure = await failure_of(channel(server, **secure).send(alert_event(), None))
        assert (failure.code, failure.retryable) == ("unreachable", True)
        assert server.mailbox == []


async def test_a_server_that_cannot_do_tls_gets_nothing(server: MailReceiver) -> None:
    failure = await failure_of(channel(server, security="starttls").send(alert_event(), None))
    assert (failure.code, failure.retryable) == ("smtp_unsupported", True)
    assert server.mailbox == []


def test_certificates_that_cannot_be_read_are_named() -> None:
    with pytest.raises(ConfigError, match=r"^alerts.email.desk.ca_file: no certificates"):
        channel(MailReceiver(), security="tls", ca_file="/nowhere.pem")
