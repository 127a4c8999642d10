"""Settings: one TOML file and STOPPRESS_* variables, checked before anything starts.

The types below are the whole list of settings, with their defaults and bounds. An unknown or wrong
setting is refused with its name, its place and what is allowed. Nothing here reads the process
environment: the caller passes it in.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_type_hints
from zoneinfo import available_timezones

import msgspec
from msgspec import Meta, Struct, field
from yarl import URL

from service import toml
from service.errors import ConfigError
from service.events import Kind
from service.model import Page, Reading, Selectors
from service.rules import (
    DAYS,
    MAX_RULES,
    Condition,
    Days,
    Hours,
    Priority,
    QuietAction,
    RuleName,
    RuleSettings,
    Zone,
    check_hours,
    check_rules,
    check_zone,
)
from service.wording import TemplateSettings

Seconds = Annotated[float, Meta(gt=0, le=10_000_000)]
Count = Annotated[int, Meta(ge=1)]
Port = Annotated[int, Meta(ge=0, le=65535)]
PageId = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,79}$")]
HttpUrl = Annotated[str, Meta(pattern=r"^https?://[^\s/]+")]


Asked = TypeVar("Asked")


class _Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the settings file."""


class RedisSettings(_Section, frozen=True):
    """Where events and state live.

    url: redis://, rediss:// or unix:// address; without one `stoppress up` starts its own server.
    prefix: first part of every key.
    """

    url: Annotated[str, Meta(pattern=r"^(redis|rediss|unix)://")] | None = None
    prefix: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]+$")] = "stoppress"


class StreamSettings(_Section, frozen=True):
    """max_events: about how many events the stream keeps; older ones are trimmed."""

    max_events: Count = 100_000


class HistorySettings(_Section, frozen=True):
    """How much of each page's past can be read back.

    max_revisions: about how many revisions a page keeps, of all its entries together.
    days: how long a revision is kept.
    """

    max_revisions: Count = 10_000
    days: Annotated[float, Meta(gt=0, le=36500)] = 30.0


class PollSettings(_Section, frozen=True):
    """How pages are fetched and how sure we must be.

    contact: e-mail address or URL for the User-Agent; required for pages outside this machine.
    floor_s, ceiling_s: shortest and longest time between two polls of a page that answers.
    retry_ceiling_s: longest time between two polls of a page that fails.
    timeout_s, max_body_bytes: limits of one fetch, after decompression.
    confirm_polls: good polls in a row that must agree before something goes back in time (an entry
    is withdrawn, restored, or returns to an earlier wording).
    degraded_after_polls: bad polls in a row before `page.degraded` is published.
    mass_loss: share of the visible entries that may vanish at once before the page is doubted.
    gap_s: after so long without a good poll, what is new counts as baseline and does not alert.
    lease_s: how long a page stays with a poller that has gone silent.
    canary_s: how often a sign of life goes through the stream; 0 for never.
    """

    contact: Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]+$")] | None = None
    floor_s: Annotated[float, Meta(ge=0.05, le=10_000_000)] = 10.0
    ceiling_s: Seconds = 120.0
    retry_ceiling_s: Seconds = 300.0
    timeout_s: Seconds = 20.0
    max_body_bytes: Count = 16 * 1024 * 1024
    confirm_polls: Count = 3
    degraded_after_polls: Count = 3
    mass_loss: Annotated[float, Meta(gt=0, le=1)] = 0.5
    gap_s: Seconds = 3600.0
    lease_s: Annotated[float, Meta(ge=1, le=3600)] = 15.0
    canary_s: Annotated[float, Meta(ge=0, le=86400)] = 60.0

    def __post_init__(self) -> None:
        if self.floor_s > self.ceiling_s:
            raise ValueError(f"floor_s {self.floor_s:g} is above ceiling_s {self.ceiling_s:g}")
        slowest = max(self.ceiling_s, self.retry_ceiling_s)
        if slowest * 2 > self.gap_s:  # else all that is new between two polls would be baseline
            raise ValueError(f"gap_s {self.gap_s:g} is below twice the slowest pace {slowest:g}")


class KeySettings(_Section, frozen=True):
    """Somebody who may use the gateway.

    secret: the key. pages: patterns of page ids that it is for.
    operate: it may change pages and rules.
    """

    secret: Annotated[str, Meta(min_length=20, max_length=500)]
    pages: tuple[str, ...] = ("*",)
    operate: bool = False


class JwtSettings(_Section, frozen=True):
    """JSON Web Tokens that count as keys: signed with a shared secret, or a key of a JWKS.

    secret: for HS256 and its like. jwks_url: where the public keys are. audience, issuer: must be
    those of a token, where they are given.
    """

    secret: Annotated[str, Meta(min_length=32, max_length=500)] | None = None
    jwks_url: HttpUrl | None = None
    audience: str | None = None
    issuer: str | None = None

    def __post_init__(self) -> None:
        if (self.secret is None) == (self.jwks_url is None):
            raise ValueError("give either secret or jwks_url")


class GatewaySettings(_Section, frozen=True):
    """Where the gateway listens and what it allows.

    port 0 takes a free port. ring_events: how many events are kept in memory for subscribers.
    buffer_bytes: a subscriber with more than that unsent gets nothing new until it has drained.
    stall_s: one that takes nothing at all for so long is cut off.
    max_per_address, max_per_key: so many connections at once from one address, or with one key.
    max_waiting: so many connections on which nothing has been asked yet.
    request_s: how long a first request, or the start of TLS, may take to arrive.
    max_messages_per_minute: what a subscriber may send on average.
    tls_cert, tls_key: PEM files with the certificate chain, and its key if it is not in there too.
    trusted_proxies: addresses and networks whose X-Forwarded headers count.
    open: anyone who reaches the gateway may read; needed beyond loopback where there are no keys.
    allowed_origins: web pages of other sites that may ask, such as https://desk.example.
    keys: a table for each key, by name. jwt: tokens that count as keys.
    """

    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    port: Port = 8037
    heartbeat_s: Seconds = 20.0
    ring_events: Count = 5_000
    buffer_bytes: Count = 256 * 1024
    stall_s: Seconds = 60.0
    max_subscribers: Count = 10_000
    max_per_address: Count = 10_000
    max_per_key: Count = 10_000
    max_waiting: Count = 10_000
    max_message_bytes: Count = 16 * 1024
    max_messages_per_minute: Count = 600
    request_s: Seconds = 10.0
    tls_cert: str | None = None
    tls_key: str | None = None
    trusted_proxies: tuple[str, ...] = ()
    open: bool = False
    allowed_origins: tuple[HttpUrl, ...] = ()
    keys: dict[Annotated[str, Meta(pattern=r"^[a-z0-9_-]{1,40}$")], KeySettings] = {}
    jwt: JwtSettings | None = None

    def __post_init__(self) -> None:
        for each in self.trusted_proxies:
            ip_network(each)  # raises ValueError, with the reason
        if self.tls_key is not None and self.tls_cert is None:
            raise ValueError("tls_key needs tls_cert")


ChannelName = Annotated[str, Meta(pattern=r"^[a-z0-9_-]{1,40}$")]
# It stands in a header or an address: no space, no control character.
Secret = Annotated[str, Meta(pattern=r"^[!-~]{1,500}$")]
MailAddress = Annotated[str, Meta(pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]+@[A-Za-z0-9.-]+$")]
WebhookSecret = Annotated[str, Meta(pattern=r"^whsec_[A-Za-z0-9+/]{32,88}={0,2}$")]


class WebhookSettings(_Section, frozen=True):
    """A receiver of Standard Webhooks.

    url: where alerts are posted to. secret: `whsec_` and the base64 of 24 to 64 bytes.
    earlier_secrets: such secrets that the receiver may still hold; each signs every request too.
    """

    url: HttpUrl
    secret: WebhookSecret
    earlier_secrets: tuple[WebhookSecret, ...] = ()
    timeout_s: Seconds = 10.0
    allow_private: bool = False


class TextualSettings(_Section, frozen=True, kw_only=True):
    """A channel that shows text: a webhook gets the event, the console has a line of its own.

    templates: what is said there.
    """

    templates: TemplateSettings = TemplateSettings()


class NtfySettings(TextualSettings, frozen=True):
    """A topic of ntfy.

    topic: whoever knows its name can read it. url: the server. token: an access token, where the
    server asks for one.
    """

    topic: Annotated[str, Meta(pattern=r"^[-_A-Za-z0-9]{1,64}$")]
    url: HttpUrl = "https://ntfy.sh"
    token: Secret | None = None
    timeout_s: Seconds = 10.0
    allow_private: bool = False


class SlackSettings(TextualSettings, frozen=True):
    """A channel of Slack: either token and channel, or webhook_url.

    token: of a bot with the scope chat:write. channel: its id, such as C0123456789. webhook_url:
    of an incoming webhook; its messages can't be changed. api_url: where Slack's Web API is.
    """

    token: Secret | None = None
    channel: Annotated[str, Meta(pattern=r"^[A-Za-z0-9#_-]{1,80}$")] | None = None
    webhook_url: HttpUrl | None = None
    api_url: HttpUrl = "https://slack.com/api"
    timeout_s: Seconds = 10.0
    allow_private: bool = False

    def __post_init__(self) -> None:
        as_app = self.token is not None and self.channel is not None
        is_half = (self.token is None) != (self.channel is None)
        if is_half or as_app == (self.webhook_url is not None):
            raise ValueError("give either token and channel, or webhook_url")


class DiscordSettings(TextualSettings, frozen=True):
    """A channel of Discord. url: of its webhook."""

    url: HttpUrl
    timeout_s: Seconds = 10.0
    allow_private: bool = False


class TelegramSettings(TextualSettings, frozen=True):
    """A chat of Telegram.

    token: of a bot that may write there. chat: its number as text, or @ and a channel's name.
    api_url: where the Bot API is.
    """

    token: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_:-]+$")]
    chat: Annotated[str, Meta(pattern=r"^(-?[0-9]+|@[A-Za-z0-9_]+)$")]
    api_url: HttpUrl = "https://api.telegram.org"
    timeout_s: Seconds = 10.0
    allow_private: bool = False


class EmailSettings(TextualSettings, frozen=True):
    """Recipients of e-mail, and the server that takes it.

    host: of an SMTP server. sender, recipients: addresses. security: STARTTLS, TLS from the start,
    or none. port: 587, 465 or 25 by it, where none is given. username, password: for the server.
    ca_file: certificates that it is checked against, instead of the system's.
    """

    host: Annotated[str, Meta(pattern=r"^[A-Za-z0-9.:_-]{1,253}$")]
    sender: MailAddress
    recipients: Annotated[tuple[MailAddress, ...], Meta(min_length=1, max_length=50)]
    security: Literal["starttls", "tls", "none"] = "starttls"
    port: Annotated[int, Meta(ge=1, le=65535)] | None = None
    username: str | None = None
    password: str | None = None
    ca_file: str | None = None
    timeout_s: Seconds = 30.0

    def __post_init__(self) -> None:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together")
        if self.password is not None and self.security == "none":
            raise ValueError('a password is not sent in the clear: security = "none" has none')


class AppriseSettings(TextualSettings, frozen=True):
    """A destination of Apprise. url: of one service, as Apprise writes it."""

    url: Annotated[str, Meta(min_length=1, max_length=2000)]
    timeout_s: Seconds = 30.0


class PushSettings(TextualSettings, frozen=True):
    """Web Push, to the browsers that subscribed.

    contact: mailto: or https: address of whoever runs this, for the push services. ttl_s: for so
    long an update or retraction waits for a device that is off. hosts: patterns of the push
    services that browsers may name, such as *.push.apple.com; any where none is given.
    """

    contact: Annotated[str, Meta(pattern=r"^(mailto:[!-~]+@[!-~]+|https://[!-~]+)$")]
    ttl_s: Annotated[int, Meta(ge=1, le=2_419_200)] = 86_400
    hosts: tuple[Annotated[str, Meta(pattern=r"^[a-z0-9.*-]{1,253}$")], ...] = ()
    timeout_s: Seconds = 10.0
    allow_private: bool = False


class AlertSettings(_Section, frozen=True):
    """What to alert on, and which channels alerts go to.

    deadline_s: an alert that could not be delivered for so long goes to the dead letters.
    claim_after_s: work that a worker left undone for so long is taken over by another.
    again_after_days: so long after an alert was taken back its entry can raise another one.
    quiet: hours without alerts of priority normal, such as 23:00-07:00. zone: whose hours these
    are. quiet_days: days on which they begin. quiet_action: what becomes of an alert of that time.
    rules: a table for each, by name.
    webhooks, ntfy, slack, discord, telegram, email, apprise: a table for each receiver, by name.
    push: Web Push, where it is given. templates: what is said.
    """

    console: bool = True
    deadline_s: Seconds = 3600.0
    claim_after_s: Seconds = 30.0
    again_after_days: Annotated[float, Meta(gt=0, le=30)] = 30.0
    quiet: Hours = "none"
    zone: Zone = "UTC"
    quiet_days: Days = DAYS
    quiet_action: QuietAction = "hold"
    rules: Annotated[dict[RuleName, RuleSettings], Meta(max_length=MAX_RULES)] = {}
    push: PushSettings | None = None
    templates: TemplateSettings = TemplateSettings()
    webhooks: dict[ChannelName, WebhookSettings] = {}
    ntfy: dict[ChannelName, NtfySettings] = {}
    slack: dict[ChannelName, SlackSettings] = {}
    discord: dict[ChannelName, DiscordSettings] = {}
    telegram: dict[ChannelName, TelegramSettings] = {}
    email: dict[ChannelName, EmailSettings] = {}
    apprise: dict[ChannelName, AppriseSettings] = {}

    def __post_init__(self) -> None:
        check_zone(self.zone)
        check_hours(self.quiet)
        check_rules(self.rules, self.channels)

    @property
    def channels(self) -> tuple[str, ...]:
        """The names of all channels that are set up, as rules name them."""
        return (*(["console"] if self.console else []), *self.receivers)

    @property
    def receivers(self) -> dict[str, WebhookSettings | TextualSettings]:
        """The settings of all channels but the console, by their names."""
        named = {
            f"{'webhook' if table == 'webhooks' else table}:{name}": each
            for table in CHANNELS
            for name, each in getattr(self, table).items()
        }
        return named if self.push is None else {**named, "push": self.push}


class LogSettings(_Section, frozen=True):
    """format auto: coloured lines on a terminal, JSON elsewhere."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"


class MetricsSettings(_Section, frozen=True):
    """Where `stoppress poll` and `stoppress alerts` serve metrics; nowhere without a port.

    port: 0 takes any. The gateway serves its own, and with `stoppress up` those of all parts.
    """

    host: str = "127.0.0.1"
    port: Port | None = None


class PageSettings(_Section, frozen=True):
    """A page to follow. source: read it with this source instead of the one that is detected.

    zone: IANA name, for times in words that name no zone. older_pages: how many of its older pages
    are read once, for the baseline. follow_next: when it names a page as its successor, follow that
    too. css: selectors, for the source `css`.
    """

    url: HttpUrl
    id: PageId | None = None
    source: str | None = None
    zone: str | None = None
    older_pages: Annotated[int, Meta(ge=0, le=100)] = 0
    follow_next: bool = False
    css: Selectors | None = None

    def __post_init__(self) -> None:
        if self.zone is not None and self.zone not in available_timezones():
            raise ValueError(f"zone {self.zone} is no IANA time zone, such as Europe/London")
        if (self.css is not None) != (self.source == "css"):
            raise ValueError('source = "css" and a table css belong together')


class Settings(_Section, frozen=True):
    """Everything that can be set. data_dir: where the embedded server keeps its data."""

    data_dir: str = "~/.local/share/stoppress"
    redis: RedisSettings = field(default_factory=RedisSettings)
    stream: StreamSettings = field(default_factory=StreamSettings)
    history: HistorySettings = field(default_factory=HistorySettings)
    poll: PollSettings = field(default_factory=PollSettings)
    gateway: GatewaySettings = field(default_factory=GatewaySettings)
    alerts: AlertSettings = field(default_factory=AlertSettings)
    log: LogSettings = field(default_factory=LogSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    pages: tuple[PageSettings, ...] = ()


SECTIONS: dict[str, type[_Section]] = {
    name: kind
    for name, kind in get_type_hints(Settings).items()
    if isinstance(kind, type) and issubclass(kind, _Section)
}
# The tables [alerts.KEY.NAME], each a channel.
CHANNELS: dict[str, type[_Section]] = {
    "webhooks": WebhookSettings,
    "ntfy": NtfySettings,
    "slack": SlackSettings,
    "discord": DiscordSettings,
    "telegram": TelegramSettings,
    "email": EmailSettings,
    "apprise": AppriseSettings,
}
_TABLES_BY_NAME: dict[str, type[Struct]] = {**CHANNELS, "rules": RuleSettings}
# What is allowed, where the type's own words say it badly.
ALLOWED = {
    "quiet": "none, or hours such as 23:00-07:00",
    "at_most": "a number for each minute, hour or day, such as 5/hour",
    "channels": "names of channels, such as console, ntfy:phone",
    "priority": ", ".join(get_args(Priority)),
    "quiet_days": ", ".join(DAYS),
    "quiet_action": ", ".join(get_args(QuietAction)),
    "type": "published, edited",
    "kind": ", ".join(get_args(Kind)),
}
# Read by the command and by the tests, and no settings themselves.
NOT_SETTINGS = frozenset(
    {"STOPPRESS_CONFIG", "STOPPRESS_CORPUS", "STOPPRESS_DAYS", "STOPPRESS_RUNS"}
)
# Settings that don't fit in one variable.
TABLES = frozenset(
    {
        *(*CHANNELS, "push", "templates", "rules", "quiet_days"),
        *("keys", "jwt", "allowed_origins", "trusted_proxies"),
    }
)
DEFAULT_FILE = "stoppress.toml"


def load(
    path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, Mapping[str, object]]
) -> Settings:
    """Settings from defaults, then the file, then STOPPRESS_* variables, then `overrides`.

    path: the file; None takes ./stoppress.toml when it is there. overrides: values by section and
    key, None for those not given.
    Raises ConfigError that names the setting, where it stands and what is allowed.
    """
    chosen = path or (Path(DEFAULT_FILE) if Path(DEFAULT_FILE).is_file() else None)
    read = _expand(_read(chosen), environ, str(chosen)) if chosen else {}
    tree = msgspec.to_builtins(_convert(read, str(chosen or DEFAULT_FILE)))
    for variable, section, key, text in _variables(environ):
        _set(tree, section, key, text, where=variable, strict=False)
    for section, values in overrides.items():
        for key, value in values.items():
            if value is not None:
                where = f"--{key.removesuffix('_s').replace('_', '-')}"
                _set(tree, section, key, value, where=where, strict=True)
    return _convert(tree, "settings")


def _read(path: Path) -> dict[str, Any]:
    try:
        return toml.read(path, "config")
    except FileNotFoundError:
        raise ConfigError("config.missing", "no such file", where=str(path)) from None


def _expand(value: Any, environ: Mapping[str, str], where: str) -> Any:
    """Replace a value that is wholly "${NAME}" by that variable: secrets stay out of the file."""
    match value:
        case dict():
            return {key: _expand(inner, environ, where) for key, inner in value.items()}
        case list():
            return [_expand(inner, environ, where) for inner in value]
        case str() if name := re.fullmatch(r"\$\{(\w+)\}", value):
            if name[1] not in environ:
                raise ConfigError(
                    "config.invalid",
                    f"{value} is not in the environment",
                    where=where,
                    fix=f"set {name[1]}",
                )
            return environ[name[1]]
        case _:
            return value


def _convert(tree: dict[str, Any], where: str) -> Settings:
    try:
        return msgspec.convert(tree, Settings)
    except msgspec.ValidationError as error:
        raise _refusal(error, where, tree) from None


def _set(
    tree: dict[str, Any], section: str, key: str, value: object, *, where: str, strict: bool
) -> None:
    """Put one value into the tree, checked by the same type as in the file."""
    kind = get_type_hints(SECTIONS[section] if section else Settings, include_extras=True)[key]
    try:
        checked = msgspec.to_builtins(msgspec.convert(value, kind, strict=strict))
    except msgspec.ValidationError as error:
        raise _refusal(error, where) from None
    (tree[section] if section else tree)[key] = checked


def _variables(environ: Mapping[str, str]) -> list[tuple[str, str, str, str]]:
    """(variable, section or "", key, value) of every STOPPRESS_* variable; refuses unknown ones."""
    known = {f"STOPPRESS_{n}".upper(): (s, k) for n, s, k in _settable()}
    found: list[tuple[str, str, str, str]] = []
    for name in sorted(n for n in environ if n.startswith("STOPPRESS_") and n not in NOT_SETTINGS):
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.0)
            raise ConfigError(
                "config.unknown", "unknown setting", where=name, fix=f"nearest: {', '.join(near)}"
            )
        found.append((name, *known[name], environ[name]))
    return found


def _settable() -> list[tuple[str, str, str]]:
    """(variable name without prefix, section, key) of all settings that fit in one variable."""
    flat: list[tuple[str, str, str]] = [("data_dir", "", "data_dir")]
    for section, kind in SECTIONS.items():
        flat += [
            (f"{section}_{key}", section, key)
            for key in kind.__struct_fields__
            if key not in TABLES
        ]
    return flat


def _refusal(
    error: msgspec.ValidationError,
    where: str,
    tree: Mapping[str, Any] | None = None,
    within: str = "",
) -> ConfigError:
    """msgspec's message with the setting's dotted name and, if unknown, what is allowed.

    tree: all settings as they were given, to tell which of several tables it is about.
    within: the dotted name of the table that it is about, where that is all there is.
    """
    message, _, path = str(error).partition(" - at `$")
    name = ".".join(filter(None, (within, _named(path.rstrip("`").lstrip("."), tree or {}))))
    if unknown := re.search(r"unknown field `([^`]+)`", message):
        allowed = _fields_at(name)
        dotted = f"{name}.{unknown[1]}".lstrip(".")
        return ConfigError(
            "config.unknown", f"unknown setting {dotted}", where=where, fix=f"allowed: {allowed}"
        )
    lowered = message[:1].lower() + message[1:]
    text = f"{name}: {lowered}" if name else lowered
    last = re.sub(r"\[\d*\]", "", name).rpartition(".")[2]
    fix = ALLOWED.get(last) if name.startswith("alerts.") else None
    return ConfigError(
        "config.invalid",
        text,
        where=where,
        fix=f"allowed: {fix}" if fix else "see docs/configuration.md",
    )


def _named(path: str, tree: Mapping[str, Any]) -> str:
    """The dotted name of a place. msgspec leaves out the NAME of a table [alerts.KEY.NAME]."""
    found = re.match(r"alerts\.(\w+)\[\.\.\.\]", path)
    kind = _TABLES_BY_NAME.get(found[1]) if found else None
    if found and kind:
        for name, table in tree["alerts"][found[1]].items():
            try:
                msgspec.convert(table, kind)
            except msgspec.ValidationError:
                path = f"alerts.{found[1]}.{name}{path[found.end() :]}"
                break
    return path.replace("[...]", "")


def _fields_at(name: str) -> str:
    for table, named in _TABLES_BY_NAME.items():
        if re.match(rf"alerts\.{table}\.", name):
            last = re.sub(r"\[\d*\]", "", name).rpartition(".")[2]
            inner = Condition if last in ("when", "all", "any", "not") else named
            return ", ".join(inner.__struct_encode_fields__)
    kinds: dict[str, type[Struct]] = {
        "": Settings,
        **SECTIONS,
        "alerts.push": PushSettings,
        "alerts.templates": TemplateSettings,
        "pages": PageSettings,
        "pages.css": Selectors,
        "css": Selectors,
    }
    kind = kinds.get(re.sub(r"\[\d*\]", "", name), Settings)
    return ", ".join(kind.__struct_fields__)


def page_settings(url: str, **given: object) -> PageSettings:
    """A page given on the command line, checked like one in the file. Raises ConfigError."""
    address(url)
    try:
        return msgspec.convert({"url": url, **given}, PageSettings)
    except msgspec.ValidationError as error:
        raise _refusal(error, url) from None


def page_asked(body: bytes) -> PageSettings:
    """A page in a JSON object, with the keys of one in the file. Raises ConfigError."""
    asked = _asked(body, PageSettings)
    address(asked.url)
    return asked


def rule_asked(name: str, body: bytes, channels: tuple[str, ...]) -> RuleSettings:
    """A rule in a JSON object, with the keys of one in the file. Raises ConfigError.

    channels: the names of those that there are.
    """
    try:
        msgspec.convert(name, RuleName)
    except msgspec.ValidationError as error:
        raise ConfigError("config.invalid", str(error).lower(), where=name) from None
    rule = _asked(body, RuleSettings, f"alerts.rules.{name}")
    try:
        check_rules({name: rule}, channels)
    except ValueError as error:
        raise ConfigError("config.invalid", str(error), where="body") from None
    return rule


def _asked(body: bytes, kind: type[Asked], within: str = "") -> Asked:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise _refusal(error, "body", within=within) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError("body.malformed", f"this is no JSON: {error}", where="body") from None


def page_of(settings: PageSettings) -> Page:
    """The page that is meant; its id is made from its address where none is given."""
    return Page(
        id=settings.id or page_id(settings.url),
        url=settings.url,
        source=settings.source,
        reading=Reading(
            selectors=settings.css, zone=settings.zone, older_pages=settings.older_pages
        ),
        follow_next=settings.follow_next,
    )


def address(url: str) -> URL:
    """A web address. Raises ConfigError when it is none."""
    try:
        return URL(url)
    except ValueError as error:
        raise ConfigError("url.malformed", f"no web address: {error}", where=url) from None


def page_id(url: str) -> str:
    """A short name for a page: its host and the last part of its path."""
    parts = address(url)
    host = (parts.host or "").removeprefix("www.")
    last = parts.path.rstrip("/").rsplit("/", 1)[-1]
    port = "" if parts.is_default_port() else f"-{parts.port}"
    name = re.sub(r"[^a-z0-9.]+", "-", f"{host}{port}-{last}".lower()).strip("-.")
    return name[:80].rstrip("-.") or "page"


def moment(text: str) -> datetime:
    """An ISO 8601 time; UTC where it names no zone. Raises ConfigError when it is none."""
    try:
        read = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise ConfigError(
            "time.malformed", f"no time: {error}", where=text, fix="such as 2026-04-25T10:17:00Z"
        ) from None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def data_dir(settings: Settings) -> Path:
    """The data directory as an absolute path."""
    return Path(os.path.expanduser(settings.data_dir)).resolve()  # noqa: PTH111 - keeps "~user" too


def levels() -> tuple[str, ...]:
    """The log levels that can be set."""
    return get_args(get_type_hints(LogSettings)["level"])
