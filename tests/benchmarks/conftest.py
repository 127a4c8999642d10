"""What the benchmarks share: the list of figures, printed as one table after the last of them."""

from __future__ import annotations

import os

import pytest

from tests.benchmarks.figures import Figure, show

_FIGURES = pytest.StashKey[list[Figure]]()
_LOAD = pytest.StashKey[float]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_FIGURES] = []
    config.stash[_LOAD] = os.getloadavg()[0]


@pytest.fixture
def figures(pytestconfig: pytest.Config) -> list[Figure]:
    """Where a benchmark puts what it measured."""
    return pytestconfig.stash[_FIGURES]


def pytest_terminal_summary(config: pytest.Config) -> None:
    if config.stash[_FIGURES]:
        show(config.stash[_FIGURES], config.stash[_LOAD])
