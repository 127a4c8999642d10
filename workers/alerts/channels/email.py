"""The e-mail channel: plain text over SMTP, one message for each event of an alert.

A message can't be changed once it is sent. What comes later refers to the first message of the
alert, so that mail programs show them together (RFC 5322 section 3.6.4).
"""

from __future__ import annotations

import re
import ssl
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from email.charset import QP, Charset
from email.header import Header
from email.message import Message
from email.utils import format_datetime

import aiosmtplib
import structlog
from aiosmtplib.response import SMTPResponse

from service.config import EmailSettings
from service.events import AlertEvent
from service.model import digest
from workers.alerts.channels import Stragglers, Undeliverable
from workers.alerts.channels.guard import refused
from workers.alerts.text import Templates, for_header, text_of

PORTS = {"starttls": 587, "tls": 465, "none": 25}
# Events of which it is remembered who has taken them; more are never under way.
MAX_TAKEN = 1000
# About six minutes: more than servers ask for that put off whom they don't know.
MAX_TRIES_FOR_A_FEW = 12

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class EmailChannel:
    """One list of recipients. name: `email:` and its name in the settings. There is no handle.

    Raises ConfigError when ca_file can't be read.
    """

    parallel = 2

    def __init__(self, name: str, settings: EmailSettings, templates: Templates) -> None:
        self.name = f"email:{name}"
        self._settings, self._templates = settings, templates
        self._tls = _tls(settings, f"alerts.email.{name}.ca_file")
        self._taken: OrderedDict[str, frozenset[str]] = OrderedDict()
        self._stragglers = Stragglers(MAX_TRIES_FOR_A_FEW)

    async def send(self, event: AlertEvent, handle: str | None) -> None:
        """Send to all who have not taken this event yet. Raises Undeliverable.

        A recipient that is refused for now is tried again, alone, a few times. One that is refused
        for good, or for too long, is logged where others are not.
        """
        taken = self._taken.get(event.id, frozenset())
        waiting = [each for each in self._settings.recipients if each not in taken]
        message = mail(event, self._settings, self._templates)
        answers = await self._transmit(message, waiting)
        if answers and len(answers) == len(self._settings.recipients):
            raise refusal(min(answers.values(), key=lambda answer: answer.code))
        later = {each: answer for each, answer in answers.items() if answer.code < 500}
        if later and self._stragglers.may_try_again(event.id):
            self._remember(event, taken.union(each for each in waiting if each not in later))
            raise refusal(next(iter(later.values())))
        for each, answer in answers.items():
            log.warning(
                "recipient.refused", channel=self.name, recipient=each, reason=f"smtp_{answer.code}"
            )
        self._taken.pop(event.id, None)

    def _remember(self, event: AlertEvent, taken: frozenset[str]) -> None:
        self._taken[event.id] = taken
        while len(self._taken) > MAX_TAKEN:
            self._taken.popitem(last=False)

    async def _transmit(
        self, message: Message, recipients: list[str]
    ) -> Mapping[str, SMTPResponse]:
        """One SMTP transaction. Returns the recipients that were refused. Raises Undeliverable."""
        settings = self._settings
        try:
            answers, _ = await aiosmtplib.send(
                message,
                sender=settings.sender,
                recipients=recipients,
                hostname=settings.host,
                port=settings.port or PORTS[settings.security],
                username=settings.username,
                password=settings.password,
                local_hostname=domain(settings.sender),  # else it asks DNS for ours, and blocks
                timeout=settings.timeout_s,
                use_tls=settings.security == "tls",
                start_tls=settings.security == "starttls",
                tls_context=self._tls,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            return {each.recipient: SMTPResponse(each.code, each.message)
                    for each in error.recipients}  # fmt: skip
        except aiosmtplib.SMTPResponseException as error:
            raise refusal(SMTPResponse(error.code, error.message)) from error
        except (aiosmtplib.SMTPTimeoutError, TimeoutError) as error:
            what = f"no answer within {settings.timeout_s:g} s"
            raise Undeliverable("timeout", what, retryable=True) from error
        except (aiosmtplib.SMTPException, OSError) as error:
            # The class itself is what aiosmtplib raises where STARTTLS or AUTH is not offered.
            is_unsupported = type(error) is aiosmtplib.SMTPException
            code = "smtp_unsupported" if is_unsupported else "unreachable"
            raise Undeliverable(code, str(error), retryable=True) from error
        return answers


def refusal(answer: SMTPResponse) -> Undeliverable:
    """What an answer means: 4yz may pass, 5yz is final (RFC 5321 section 4.2.1)."""
    what = f"the server answered {answer.code} {for_header(answer.message)[:100]}"
    return Undeliverable(f"smtp_{answer.code}", what, retryable=answer.code < 500)


def mail(event: AlertEvent, settings: EmailSettings, templates: Templates) -> Message:
    """The message for an event: the same for every try, so that mail programs can tell it again."""
    text = text_of(event, templates)
    place = domain(settings.sender)
    root = _message_id(event.data.alert, place)
    lines = (text.title, text.body, text.link)
    message = Message()
    message.set_payload("\n\n".join(filter(None, lines)) + "\n", _charset())
    message["From"] = settings.sender
    message["To"] = ", ".join(settings.recipients)
    message["Subject"] = subject(text.title)
    message["Date"] = format_datetime(datetime.fromisoformat(event.time))
    message["Message-ID"] = _message_id(event.id, place)
    if text.state != "raised":
        message["In-Reply-To"] = message["References"] = root
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
    if event.data.priority == "high" and text.state == "raised":
        message["Importance"] = "high"
    return message


def subject(title: str) -> str:
    """A title as the value of a header, in ASCII (RFC 2047).

    Header does it, because EmailMessage loses a space between words where it folds a line.
    """
    return Header(for_header(title), "utf-8", header_name="Subject").encode()


def _charset() -> Charset:
    """UTF-8 that can be read in the source too."""
    charset = Charset("utf-8")
    charset.body_encoding = QP
    return charset


def domain(mail_address: str) -> str:
    """What stands after the @."""
    return mail_address.rpartition("@")[2]


def _message_id(name: str, place: str) -> str:
    safe = name if re.fullmatch(r"[0-9A-Za-z]{1,64}", name) else digest(name)
    return f"<{safe}@{place}>"


def _tls(settings: EmailSettings, where: str) -> ssl.SSLContext | None:
    if settings.security == "none":
        return None
    try:
        return ssl.create_default_context(cafile=settings.ca_file)
    except OSError as error:
        raise refused(where, f"no certificates: {error}") from None
