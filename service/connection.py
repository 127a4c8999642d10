"""How this program connects to Redis: timeouts, names, and cancellation that arrives."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import (
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
    parse_url,
)
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from service.errors import ConfigError

# Blocking reads wait at the server for 2 s; a socket must outwait them.
TIMEOUT_S = 10.0
CONNECT_S = 5.0
MAX_CONNECTIONS = 32

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection as _Base
else:
    _Base = object


class _Cancellable(_Base):
    """Sends under `asyncio.timeout`.

    redis-py sends under `asyncio.wait_for`, which on Python 3.11 can swallow a cancellation that
    comes just when the send is done (CPython issue 81839, mended in 3.12): a task that was told to
    end would go on for ever.
    """

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        """See redis-py. One task at a time uses a connection, so its timeout can be lent."""
        timeout_s, self.socket_timeout = self.socket_timeout, None
        try:
            async with asyncio.timeout(timeout_s):
                await super().send_packed_command(command, check_health)
        except TimeoutError as error:
            await self.disconnect(nowait=True)
            raise RedisTimeoutError("Timeout writing to socket") from error
        finally:
            self.socket_timeout = timeout_s


class _Tcp(_Cancellable, Connection):
    pass


class _Tls(_Cancellable, SSLConnection):
    pass


class _Unix(_Cancellable, UnixDomainSocketConnection):
    pass


_KINDS: dict[type, type] = {
    Connection: _Tcp,
    SSLConnection: _Tls,
    UnixDomainSocketConnection: _Unix,
}


def connect(url: str) -> Redis:
    """A client that answers bytes. Nothing is sent yet. Raises ConfigError for a malformed URL.

    It opens at most MAX_CONNECTIONS; whoever needs one more waits for one.
    """
    try:
        options: dict[str, Any] = dict(parse_url(url))
        kind = _KINDS[options.pop("connection_class", Connection)]
        limits = {"socket_timeout": TIMEOUT_S, "socket_connect_timeout": CONNECT_S}
        pool = BlockingConnectionPool(
            max_connections=MAX_CONNECTIONS,
            timeout=TIMEOUT_S,
            connection_class=kind,
            client_name="stoppress",
            **{**limits, **options},
        )
        pool.make_connection()  # type: ignore[no-untyped-call]  # refuses unknown options
    except (ValueError, TypeError, RedisError) as error:
        raise ConfigError("redis.url_malformed", str(error), where="redis.url") from error
    return Redis.from_pool(pool)
