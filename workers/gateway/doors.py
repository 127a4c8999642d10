"""How connections come in: TLS, how long a first request may take, and how many may keep waiting.

Whoever opens sockets and says nothing, or says it a byte at a time, takes no place from others.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
import ssl
from pathlib import Path

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from service.config import GatewaySettings
from service.errors import ConfigError
from service.observability import TURNED_AWAY

SLOW = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
SPARE_FILES = 200  # what a process opens besides connections

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Doors:
    """Makes the protocol of each new connection, for `loop.create_server`.

    request_s: how long it may take until its first request is there. most: so many connections
    without one may wait; when there are more, the longest waiting is turned away.
    """

    def __init__(self, server: web.Server, *, request_s: float, most: int) -> None:
        self._server, self._request_s, self._most = server, request_s, most
        self._waiting: dict[web.RequestHandler, asyncio.TimerHandle] = {}

    def __call__(self) -> asyncio.Protocol:
        """The protocol of a connection that has just come."""
        protocol, loop = self._server(), asyncio.get_running_loop()
        waiting = loop.call_later(self._request_s, self._turn_away, protocol, "slow")
        self._waiting[protocol] = waiting
        if len(self._waiting) > self._most:
            self._turn_away(next(iter(self._waiting)), "crowd")
        return protocol

    def heard(self, request: web.BaseRequest) -> None:
        """A request is there: its connection waits no more."""
        waiting = self._waiting.pop(request.protocol, None)
        if waiting is not None:
            waiting.cancel()

    def _turn_away(self, protocol: web.RequestHandler, why: str) -> None:
        if protocol not in self._waiting:
            return
        self._waiting.pop(protocol).cancel()
        if protocol.transport is not None:
            TURNED_AWAY.labels(why).inc()
            protocol.transport.write(SLOW)
            protocol.transport.close()


class _Unspoken(logging.Handler):
    """Says of a request that is no HTTP only that: its address may hold a key."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            log.info("request.malformed", kind=type(error).__name__)
        else:
            log.error("request.failed", detail=record.getMessage(), exc_info=error)


def http_log() -> logging.Logger:
    """What aiohttp's server is to write its log to."""
    logger = logging.getLogger("stoppress.gateway.http")
    logger.propagate = False
    logger.handlers = [_Unspoken()]
    return logger


async def listen(doors: Doors, settings: GatewaySettings, *, share_port: bool) -> asyncio.Server:
    """Accept connections. Raises ConfigError when the address or the certificate cannot be used."""
    context = tls(settings)
    try:
        server = await asyncio.get_running_loop().create_server(
            doors,
            settings.host,
            settings.port,
            ssl=context,
            ssl_handshake_timeout=settings.request_s if context else None,
            reuse_port=share_port or None,
            backlog=1024,
        )
    except OSError as error:
        in_use = error.errno == errno.EADDRINUSE
        raise ConfigError(
            "port.in_use" if in_use else "address.unusable",
            "the port is in use" if in_use else f"cannot listen: {error.strerror or error}",
            where=f"{settings.host}:{settings.port}",
            fix="set gateway.port or --port to a free one, 0 takes any",
        ) from error
    _allow_files(settings.max_subscribers + SPARE_FILES)
    return server


def tls(settings: GatewaySettings) -> ssl.SSLContext | None:
    """What connections are encrypted with, if they are. Raises ConfigError."""
    if settings.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    cert = Path(settings.tls_cert).expanduser()
    key = Path(settings.tls_key).expanduser() if settings.tls_key else None
    try:
        context.load_cert_chain(cert, key, password=lambda: "")
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            "tls.unusable",
            f"the certificate or its key cannot be used: {error}",
            where=f"gateway.tls_cert {cert}",
            fix="both in PEM, the key without a password; gateway.tls_key where it is apart",
        ) from error
    return context


def _allow_files(wanted: int) -> None:
    """Let this process open as many files as it may have connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most < wanted:
        log.warning("files.limited", allowed=most, wanted=wanted, fix="raise ulimit -n")
