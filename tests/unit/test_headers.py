"""Header values are read whatever a server puts there."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.headers import origin_of, retry_after_s

NOW = datetime(2025, 4, 25, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        (" 3 ", 3.0),
        ("Fri, 25 Apr 2025 09:01:30 GMT", 90.0),
        ("Fri, 25 Apr 2025 08:00:00 GMT", 0.0),
        ("Fri, 25 Apr 2025 09:00:10 -0000", 10.0),
        ("-1", None),
        ("1.5", None),
        ("²", None),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, NOW) == seconds


@given(st.text())
def test_no_retry_after_header_can_do_harm(header: str) -> None:
    seconds = retry_after_s(header, NOW)
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize(
    ("host", "origin"),
    [("127.0.0.1", "http://127.0.0.1:80"), ("::1", "http://[::1]:80"), ("::", "http://[::]:80")],
)
def test_an_origin_has_a_port_and_brackets_around_many_colons(host: str, origin: str) -> None:
    assert origin_of(host, 80) == origin
    assert origin_of(host, 80, scheme="https") == origin.replace("http", "https")
