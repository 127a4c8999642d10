"""Several processes of one part, as one: started, watched, replaced one by one, ended together."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Sequence

import structlog

from service.errors import ConfigError, StoppressError

log: structlog.stdlib.BoundLogger = structlog.get_logger()

START_S = 30.0
END_S = 20.0
AGAIN_S = 1.0  # before one that has ended is started anew


def reserved(host: str, port: int) -> socket.socket:
    """A socket that holds a port for processes which share it (SO_REUSEPORT); 0 takes a free one.

    Raises ConfigError when the port cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    held = socket.socket(family, socket.SOCK_STREAM)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        held.bind((host, port))
    except OSError as error:
        held.close()
        raise ConfigError(
            "port.in_use",
            f"cannot have the port: {error.strerror or error}",
            where=f"{host}:{port}",
            fix="set gateway.port or --port to a free one, 0 takes any",
        ) from error
    return held


async def run_several(count: int, command: Sequence[str], ready: Callable[[str], None]) -> None:
    """Keep so many processes of `stoppress COMMAND` running until cancelled.

    ready: told the first line that the first of them says. SIGHUP replaces them one by one: each
    is ended only once the new one is ready. Raises StoppressError when one does not start.
    """
    children: list[Process] = []
    again = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, again.set)
    try:
        for number in range(count):
            child, said = await _start(command)
            children.append(child)
            if number == 0:
                ready(said)
        while True:
            await _any_of([child.wait() for child in children], again.wait())
            if again.is_set():
                again.clear()
                await _replace(children, command)
            await _revive(children, command)
    finally:
        await asyncio.gather(*map(_end, children))


async def _any_of(exits: Sequence[Awaitable[object]], asked: Awaitable[object]) -> None:
    tasks = [asyncio.ensure_future(one) for one in (*exits, asked)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _replace(children: list[Process], command: Sequence[str]) -> None:
    for place, old in enumerate(list(children)):
        children[place], _ = await _start(command)
        await _end(old)
    log.info("processes.replaced", count=len(children))


async def _revive(children: list[Process], command: Sequence[str]) -> None:
    for place, child in enumerate(list(children)):
        if child.returncode is not None:
            log.error("process.ended", pid=child.pid, exit_code=child.returncode)
            await asyncio.sleep(AGAIN_S)
            children[place], _ = await _start(command)


async def _start(command: Sequence[str]) -> tuple[Process, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "service", "--until-eof"),
        *command,
        stdin=PIPE,
        stdout=PIPE,
        start_new_session=True,  # Ctrl-C is for us; we end them
    )
    assert process.stdout is not None
    said = ""
    try:
        async with asyncio.timeout(START_S):
            said = (await process.stdout.readline()).decode().strip()
    except TimeoutError:
        pass
    finally:
        if not said:
            await _end(process)
    if not said:
        raise StoppressError("process.failed", "one of the processes did not start")
    return process, said


async def _end(process: Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(END_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
