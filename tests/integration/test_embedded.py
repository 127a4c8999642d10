"""The embedded server keeps its data, has one owner, and ends the orphan of a killed one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from redis import Redis

from service.embedded import SOCKET_PATH_BYTES, _server, embedded, is_running, socket_path
from service.errors import ConfigError

OWNER = """
import sys
from pathlib import Path
from redis import Redis
from service.embedded import embedded
with embedded(Path(sys.argv[1])) as url:
    Redis.from_url(url).set("kept", sys.argv[2])
    print("up", flush=True)
    sys.stdin.read()
"""


def start_owner(folder: Path, value: str) -> subprocess.Popen[str]:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(folder), value],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    assert owner.stdout.readline() == "up\n"
    return owner


def value_in(folder: Path) -> bytes | None:
    with embedded(folder) as url, Redis.from_url(url) as client:
        value = client.get("kept")
        assert value is None or isinstance(value, bytes)
        return value


def test_data_survives_a_restart(tmp_path: Path) -> None:
    with embedded(tmp_path) as url, Redis.from_url(url) as client:
        client.set("kept", "1")
    assert value_in(tmp_path) == b"1"


def test_a_folder_has_one_owner(tmp_path: Path) -> None:
    refusal = pytest.raises(ConfigError, match="another stoppress")
    with embedded(tmp_path), refusal as refused, embedded(tmp_path):
        pass
    assert refused.value.code == "data_dir.in_use"


def test_the_server_of_a_killed_owner_ends_and_its_data_is_kept(tmp_path: Path) -> None:
    owner = start_owner(tmp_path, "2")
    os.kill(owner.pid, signal.SIGKILL)
    owner.communicate()
    ends = time.monotonic() + 20
    while is_running(tmp_path) and time.monotonic() < ends:
        time.sleep(0.02)
    assert not is_running(tmp_path)
    assert value_in(tmp_path) == b"2"


def test_a_server_that_nobody_owns_is_ended_before_another_starts(tmp_path: Path) -> None:
    """As when the owner and the guard of its server were both killed."""
    with _server(tmp_path, sync=True), Redis(unix_socket_path=str(socket_path(tmp_path))) as orphan:
        orphan.set("kept", "3")
        orphan_pid = orphan.info("server")["process_id"]
        with embedded(tmp_path) as url, Redis.from_url(url) as client:
            assert client.get("kept") == b"3"
            assert client.info("server")["process_id"] != orphan_pid


def test_ctrl_c_leaves_the_server_up_until_its_owner_is_done(tmp_path: Path) -> None:
    with embedded(tmp_path) as url, Redis.from_url(url) as client:
        os.kill(client.info("server")["process_id"], signal.SIGINT)
        assert client.ping()


@pytest.mark.parametrize("name", ["d#x", "q?y", "%41", "ü"])
def test_a_folder_may_have_an_unusual_name(tmp_path: Path, name: str) -> None:
    with embedded(tmp_path / name) as url, Redis.from_url(url) as client:
        assert client.ping()


def test_a_folder_that_valkey_cannot_work_in_is_named(tmp_path: Path) -> None:
    refusal = pytest.raises(ConfigError, match="with space: Valkey can't work in a folder with")
    with refusal, embedded(tmp_path / "with space"):
        pass


def test_a_long_folder_name_still_gets_a_socket(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    assert len(os.fsencode(socket_path(folder))) <= SOCKET_PATH_BYTES
    with embedded(folder) as url, Redis.from_url(url) as client:
        assert client.ping()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ConfigError, match="cannot write here"),
        embedded(tmp_path / "file" / "data"),
    ):
        pass
