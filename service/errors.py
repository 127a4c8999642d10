"""Every error Stoppress raises on purpose.

A code is at once the log value, the metric label and the wire name.

StoppressError
├── ConfigError        a setting or an argument is wrong: refused at start
├── PageError          the page or its server is at fault: page health changes, nothing else
├── StoreError         Redis is down, refuses, or another poller owns the page: retried
├── SubscriberError    a reader sent something wrong: named to that reader, nobody else notices
└── CorruptionError    our own data breaks our own rules: stop loudly, never guess
"""

from __future__ import annotations


class StoppressError(Exception):
    """What went wrong, where, and what to do about it, in one line.

    code: stable dotted name. what: one clause. where: file, URL, key or setting. fix: what to do.
    """

    def __init__(self, code: str, what: str, *, where: str = "", fix: str = "") -> None:
        self.code, self.what, self.where, self.fix = code, what, where, fix
        super().__init__(str(self))

    def __str__(self) -> str:
        line = f"{self.where}: {self.what}" if self.where else self.what
        return f"{line} ({self.fix})" if self.fix else line


class ConfigError(StoppressError):
    """A setting or an argument is wrong."""


class PageError(StoppressError):
    """The page could not be read as a live page. `health` is the page health that follows from it.

    retry_after_s: how long the server asked us to wait, if it did. status: its answer, if it was
    refused by one (RFC 9110 section 15).
    """

    def __init__(
        self,
        code: str,
        what: str,
        *,
        where: str = "",
        fix: str = "",
        health: str = "degraded",
        retry_after_s: float | None = None,
        status: int | None = None,
    ) -> None:
        self.health = health
        self.retry_after_s = retry_after_s
        self.status = status
        super().__init__(code, what, where=where, fix=fix)


class StoreError(StoppressError):
    """Redis did not do what was asked."""


class SubscriberError(StoppressError):
    """A reader asked for something that cannot be given."""


class FullError(SubscriberError):
    """There are as many as there may be."""

    status = 503


class CorruptionError(StoppressError):
    """Stored data does not have the shape that this program writes."""
