"""deploy/ fits the program: its commands, settings, paths, ports, pins and metrics are real."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from prometheus_client.metrics_core import Metric

from service import config
from service.cli import cli
from service.config import Settings
from service.observability import REGISTRY

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: each for name, each in SERVICES.items() if each["image"] == "stoppress"}
EXAMPLE = DEPLOY / "stoppress.example.toml"


def instructions(name: str) -> list[list[str]]:
    """What follows an instruction in the Dockerfile, as words, each time that it comes."""
    lines = (DEPLOY / "Dockerfile").read_text("utf-8").splitlines()
    return [shlex.split(line)[1:] for line in lines if line.split(" ")[0] == name]


# --- docker-compose.yml --------------------------------------------------------------------------


def test_every_part_runs_as_a_service() -> None:
    assert {each["command"][0] for each in OURS.values()} == {"poll", "alerts", "gateway"}


@pytest.mark.parametrize("name", OURS)
def test_every_command_is_one_of_ours_with_its_options(name: str) -> None:
    first, *rest = OURS[name]["command"]
    command = cli.get_command(click.Context(cli), first)
    assert command is not None
    command.make_context(first, rest)


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting_that_is_accepted(name: str) -> None:
    environ = OURS[name]["environment"]
    settings = config.load(EXAMPLE, environ, {})
    assert settings.redis.url == "redis://valkey:6379"
    assert environ["STOPPRESS_CONFIG"] in [mount.split(":")[1] for mount in OURS[name]["volumes"]]


@pytest.mark.parametrize("name", OURS)
def test_every_file_that_is_mounted_exists_and_is_read_only(name: str) -> None:
    for mount in OURS[name]["volumes"]:
        source, _, mode = mount.split(":")
        assert (ROOT / source).is_file()
        assert mode == "ro"


@pytest.mark.parametrize("name", OURS)
def test_ours_run_without_rights_that_they_do_not_need(name: str) -> None:
    service = OURS[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert (ROOT / service["build"]["dockerfile"]).is_file()


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_comes_back_and_may_end_in_order(name: str) -> None:
    assert SERVICES[name]["restart"] == "unless-stopped"
    assert SERVICES[name]["stop_grace_period"]
    assert "container_name" not in SERVICES[name], "a fixed name would forbid replicas"


def test_what_is_depended_on_exists_and_says_when_it_is_healthy() -> None:
    for service in SERVICES.values():
        for name, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}
            assert "healthcheck" in SERVICES[name]


def test_the_redis_that_is_named_is_a_service() -> None:
    for service in OURS.values():
        assert service["environment"]["STOPPRESS_REDIS_URL"] == "redis://valkey:6379"
    assert "valkey" in SERVICES


def test_redis_keeps_its_data_and_is_not_reachable_from_outside() -> None:
    valkey = SERVICES["valkey"]
    command = valkey["command"]
    assert command[command.index("--appendonly") + 1] == "yes"
    assert [mount.split(":")[0] for mount in valkey["volumes"]] == list(COMPOSE["volumes"])
    assert "ports" not in valkey


def test_ports_agree_with_the_settings_and_are_open_to_this_machine_only() -> None:
    gateway = SERVICES["gateway"]
    settings = config.load(EXAMPLE, gateway["environment"], {}).gateway
    assert settings.port == Settings().gateway.port
    assert settings.host == "0.0.0.0"
    assert gateway["ports"] == [f"127.0.0.1:{settings.port}:{settings.port}"]
    assert f":{settings.port}/readyz" in gateway["healthcheck"]["test"][-1]
    assert instructions("EXPOSE") == [[str(settings.port)]]
    assert [name for name, each in SERVICES.items() if "ports" in each] == ["gateway"]


# --- Dockerfile ----------------------------------------------------------------------------------


def copied() -> list[str]:
    copies = [words for words in instructions("COPY") if not words[0].startswith("--from")]
    return [source for *sources, _ in copies for source in sources]


def test_what_is_copied_exists_and_is_let_into_the_build() -> None:
    ignore = (ROOT / ".dockerignore").read_text("utf-8").split()
    allowed = {line[1:] for line in ignore if line.startswith("!")}
    assert "*" in ignore
    assert set(copied()) == allowed
    assert [source for source in copied() if not (ROOT / source).exists()] == []


def test_what_the_package_is_built_of_is_copied() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*wheel["packages"], *wheel["force-include"], project["project"]["readme"]}
    assert needed | set(project["project"]["license-files"]) <= set(copied())


def test_the_image_runs_our_command_as_an_ordinary_user() -> None:
    assert instructions("ENTRYPOINT") == [["[stoppress]"]]
    assert instructions("USER") == [["stoppress"]]
    assert any("deploy/constraints.txt" in words for words in instructions("RUN"))


def test_nothing_secret_is_built_in() -> None:
    written = (DEPLOY / "Dockerfile").read_text("utf-8") + EXAMPLE.read_text("utf-8")
    assert not re.search(r"whsec_|password|token", written, re.IGNORECASE)


# --- constraints, settings, rules ----------------------------------------------------------------


def pins() -> dict[str, str]:
    lines = (DEPLOY / "constraints.txt").read_text("utf-8").splitlines()
    wanted = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in wanted}


def test_every_dependency_is_pinned_to_a_version_that_is_allowed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for line in (*project["dependencies"], *project["optional-dependencies"]["dev"]):
        requirement = Requirement(line)
        version = pins()[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), line


def test_constraints_name_versions_and_no_addresses() -> None:
    written = (DEPLOY / "constraints.txt").read_text("utf-8")
    assert "://" not in written
    assert "@" not in written


def test_the_example_settings_are_accepted_as_they_are() -> None:
    assert config.load(EXAMPLE, {}, {}).pages == ()


def test_what_the_example_settings_show_in_comments_is_accepted_too(tmp_path: Path) -> None:
    shown = re.sub(r"^# (?=\[|\w+ = )", "", EXAMPLE.read_text("utf-8"), flags=re.MULTILINE)
    path = tmp_path / "stoppress.toml"
    path.write_text(shown, "utf-8")
    environ = {"DESK_WEBHOOK_SECRET": "whsec_" + "A" * 32, "NTFY_TOPIC": "desk"}
    settings = config.load(path, environ, {})
    assert settings.poll.contact
    assert settings.pages
    assert settings.alerts.webhooks
    assert settings.alerts.ntfy


def test_every_metric_of_the_alert_rules_exists() -> None:
    rules = yaml.safe_load((DEPLOY / "prometheus-alerts.yml").read_text("utf-8"))
    used = {
        name
        for group in rules["groups"]
        for rule in group["rules"]
        for name in re.findall(r"stoppress_\w+", rule["expr"])
    }
    assert used
    assert used <= {exposed(family) for family in REGISTRY.collect()}


def exposed(family: Metric) -> str:
    return family.name + ("_total" if family.type == "counter" else "")
