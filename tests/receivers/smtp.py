"""A mail server (aiosmtpd) that keeps what it takes, with TLS, logging in and faults."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP as POLICY
from pathlib import Path
from typing import Any, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.certificates import self_signed
from tests.receivers.http import Fault

USER, PASSWORD = "stoppress", "secret word"


class MailReceiver:
    """A mailbox for everybody.

    mailbox: (recipient, message) in order of arrival. faults: what happens to the next messages;
    fired: those that have happened. refusals: by recipient what it is answered, in turn.
    answer: to the next message's content, such as `451 4.7.1 Greylisted`.
    """

    def __init__(self) -> None:
        self.mailbox: list[tuple[str, EmailMessage]] = []
        self.faults: list[Fault | str] = []
        self.fired: list[Fault | str] = []
        self.refusals: dict[str, list[str]] = {}
        self.port = 0
        self._must_log_in = False
        self._ended = asyncio.Event()

    @asynccontextmanager
    async def serving(
        self, *, starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None
    ) -> AsyncIterator[Self]:
        def connection() -> SMTP:
            return SMTP(
                self,
                hostname="mail.example",
                tls_context=starttls,
                require_starttls=starttls is not None,
                auth_require_tls=tls is None,  # it does not know of TLS from the start
                authenticator=self._log_in,
            )

        self._must_log_in = bool(starttls or tls)
        server = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self._ended.set()
            server.close()
        assert not self.faults, "every fault has happened"

    def _log_in(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str,
                given: Any) -> AuthResult:  # fmt: skip
        expected = LoginPassword(USER.encode(), PASSWORD.encode())
        return AuthResult(success=given == expected, handled=False)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self._must_log_in and not session.authenticated:
            return "530 5.7.0 Authentication required"
        if answers := self.refusals.get(address):
            return answers.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            self.fired.append(fault)
        match fault:
            case None:
                self._keep(envelope)
                return "250 2.0.0 OK"
            case str(answer):
                return answer
            case Fault.SLOW:
                await self._ended.wait()
            case Fault.LOST:
                self._keep(envelope)
        assert server.transport is not None
        server.transport.abort()
        return "421 Closed"

    def _keep(self, envelope: Envelope) -> None:
        assert isinstance(envelope.content, bytes)
        message = message_from_bytes(envelope.content, policy=POLICY)
        assert isinstance(message, EmailMessage)
        assert not message.defects
        self.mailbox += [(recipient, message) for recipient in envelope.rcpt_tos]


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for 127.0.0.1 that signs itself: its file, and a server's context with it."""
    file, secret = self_signed(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, secret)
    return file, context
