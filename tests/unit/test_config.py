"""A setting is taken from where it stands, or refused: its name, its place, what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from service import config
from service.config import Settings
from service.errors import ConfigError

SECRET = "whsec_" + "A" * 32


def load(tmp_path: Path, toml: str = "", **environ: str) -> Settings:
    path = tmp_path / "stoppress.toml"
    path.write_text(toml)
    return config.load(path, environ, {})


def test_without_any_setting_the_defaults_hold(tmp_path: Path) -> None:
    assert load(tmp_path) == Settings()


def test_a_variable_overrides_the_file_and_an_option_overrides_both(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text("[poll]\nfloor_s = 2\nceiling_s = 50")
    environ = {"STOPPRESS_POLL_FLOOR_S": "3", "STOPPRESS_ALERTS_CONSOLE": "false"}
    loaded = config.load(path, environ, {"poll": {"floor_s": 4.0}, "gateway": {"port": None}})
    assert (loaded.poll.floor_s, loaded.poll.ceiling_s) == (4, 50)
    assert loaded.alerts.console is False
    assert loaded.gateway == Settings().gateway


def test_settings_that_depend_on_each_other_may_come_in_any_order(tmp_path: Path) -> None:
    environ = {"STOPPRESS_POLL_CEILING_S": "0.2", "STOPPRESS_POLL_FLOOR_S": "0.1"}
    assert load(tmp_path, **environ).poll.ceiling_s == 0.2
    with pytest.raises(ConfigError, match=r"^settings: poll: floor_s 10 is above ceiling_s 5"):
        load(tmp_path, STOPPRESS_POLL_CEILING_S="5")


def test_a_secret_can_stay_in_the_environment(tmp_path: Path) -> None:
    toml = '[alerts.webhooks.desk]\nurl = "https://example.org/hook"\nsecret = "${HOOK}"'
    assert load(tmp_path, toml, HOOK=SECRET).alerts.webhooks["desk"].secret == SECRET
    with pytest.raises(ConfigError, match="set HOOK"):
        load(tmp_path, toml)


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("[poll]\nflor_s = 2", r"unknown setting poll.flor_s \(allowed: contact, floor_s"),
        ("[pol]\nfloor_s = 2", r"unknown setting pol \(allowed: data_dir, redis"),
        ("[poll]\nfloor_s = 'x'", "poll.floor_s: expected `float`, got `str`"),
        ("[poll]\nfloor_s = 0", "poll.floor_s: expected `float` >= 0.05"),
        ("[poll]\nfloor_s = 500", "poll: floor_s 500 is above ceiling_s 120"),
        ("[gateway]\nport = 99999", "gateway.port: expected `int` <= 65535"),
        ("[[pages]]\nurl = 'ftp://x'", r"pages.*url: expected `str` matching"),
        ("[poll\n", "not valid TOML"),
        ("[alerts.slack.x]\ntoken = 'a'", "alerts.slack.*: give either token and channel, or web"),
        ("[alerts.ntfy.x]\ntopic = 'a b'", "alerts.ntfy.*topic: expected `str` matching"),
        ("[alerts.templates]\nraise = 'a'", r"allowed: title, raised, updated, retracted\)"),
        (f"[alerts.webhooks.x]\nurl='http://x'\nsecret='{SECRET}'\nfoo=1", "allowed: url, secret"),
    ],
)
def test_a_wrong_setting_is_named_with_its_file(tmp_path: Path, toml: str, says: str) -> None:
    with pytest.raises(ConfigError, match=f"^{tmp_path}/stoppress.toml: .*{says}"):
        load(tmp_path, toml)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("STOPPRESS_POLL_FLOR_S", "3", "nearest: STOPPRESS_POLL_FLOOR_S"),
        ("STOPPRESS_POLL_FLOOR_S", "-3", ">= 0.05"),
        ("STOPPRESS_POLL_FLOOR_S", "soon", "expected `float`"),
        ("STOPPRESS_LOG_LEVEL", "loud", "invalid enum value 'loud'"),
    ],
)
def test_a_wrong_variable_is_named(tmp_path: Path, name: str, value: str, says: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name}: .*{says}"):
        load(tmp_path, **{name: value})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        config.load(tmp_path / "none.toml", {}, {})


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://www.bbc.com/news/live/c7p765ynk9qt", "bbc.com-c7p765ynk9qt"),
        ("http://127.0.0.1:8080/", "127.0.0.1-8080"),
        ("https://example.org/Ukraine%20War/?page=2", "example.org-ukraine-war"),
    ],
)
def test_a_page_is_named_after_its_address(url: str, name: str) -> None:
    assert config.page_id(url) == name
    assert config.page_of(config.page_settings(url)).id == name
