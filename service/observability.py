"""Logs and metrics: one way to set them up, one place where every metric is named.

A log event is a constant `noun.past_verb`; ids are bound by contextvars. Metrics never carry entry
text or URLs as labels.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from service.config import LogSettings, MetricsSettings
from service.errors import ConfigError
from service.headers import origin_of

REGISTRY = CollectorRegistry()

POLLS = Counter(
    "stoppress_polls", "Polls by page and outcome.", ["page", "outcome"], registry=REGISTRY
)
POLL_SECONDS = Histogram(
    "stoppress_poll_seconds", "Time of one poll, from request to commit.", registry=REGISTRY,
    buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30),
)  # fmt: skip
EVENTS = Counter("stoppress_events", "Events committed, by type.", ["type"], registry=REGISTRY)
ALERTS = Counter("stoppress_alerts", "Alerts raised, by rule.", ["rule"], registry=REGISTRY)
DELIVERIES = Counter(
    "stoppress_deliveries",
    "Deliveries by channel and outcome.",
    ["channel", "outcome"],
    registry=REGISTRY,
)
DELIVERY_LAG = Histogram(
    "stoppress_delivery_lag_seconds",
    "From the poll that saw it until a channel took it, by channel.",
    ["channel"],
    registry=REGISTRY,
    buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60, 300, 900, 3600),
)
WAITING = Gauge(
    "stoppress_alerts_waiting", "Alerts in the queue of a channel.", ["channel"], registry=REGISTRY
)
CHANNEL_OPEN = Gauge(
    "stoppress_channel_open",
    "1 while a channel fails and nothing but probes is sent there, else 0.",
    ["channel"],
    registry=REGISTRY,
)
DEAD = Counter("stoppress_dead_letters", "Dead letters, by reason.", ["reason"], registry=REGISTRY)
SUBSCRIBERS = Gauge("stoppress_subscribers", "Open feed connections.", registry=REGISTRY)
FEED_EVENTS = Counter("stoppress_feed_events", "Events sent to subscribers.", registry=REGISTRY)
CLOSES = Counter(
    "stoppress_feed_closes", "Feed connections closed, by reason.", ["reason"], registry=REGISTRY
)
EVENT_LAG = Histogram(
    "stoppress_event_lag_seconds",
    "Lag of new entries: `seen` from their own time to the poll that saw them, `sent` from there.",
    ["stage"],
    registry=REGISTRY,
    buckets=(0.01, 0.1, 0.3, 1, 3, 10, 30, 60, 120, 300, 900, 3600),
)
TURNED_AWAY = Counter(
    "stoppress_turned_away",
    "Connections ended before a request came, by reason.",
    ["reason"],
    registry=REGISTRY,
)
CANARY = Gauge(
    "stoppress_canary_timestamp_seconds",
    "When the last canary came out, by the part that it came to.",
    ["part"],
    registry=REGISTRY,
)
PAGE_HEALTH = Gauge(
    "stoppress_page_healthy", "1 when the page is seen well, else 0.", ["page"], registry=REGISTRY
)  # fmt: skip
PAGE_LAG = Gauge(
    "stoppress_page_lag_seconds",
    "Seconds since the page's last good poll.",
    ["page"],
    registry=REGISTRY,
)


def configure_logs(settings: LogSettings) -> None:
    """Send logs to stderr, as coloured lines on a terminal and as JSON elsewhere."""
    pretty = settings.format == "console" or (settings.format == "auto" and sys.stderr.isatty())
    last: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer()
        if pretty
        else structlog.processors.JSONRenderer(serializer=_to_json)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[settings.level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _to_json(event: object, **_: object) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()


@contextmanager
def metrics_served(settings: MetricsSettings) -> Iterator[str]:
    """Serve this process's metrics while in it, in a thread; their address, or "" without a port.

    Raises ConfigError when the address can't be used.
    """
    if settings.port is None:
        yield ""
        return
    try:
        server, thread = start_http_server(settings.port, settings.host, REGISTRY)
    except OSError as error:
        raise ConfigError(
            "metrics.unusable",
            f"metrics can't be served: {error}",
            where=f"{settings.host}:{settings.port}",
            fix="set another metrics.host or metrics.port",
        ) from None
    try:
        yield f"{origin_of(settings.host, server.server_port)}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
