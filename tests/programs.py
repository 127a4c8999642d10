"""Programs of the machine that tests run."""

from __future__ import annotations

import os
import shutil

import pytest


def installed(*names: str, package: str) -> str:
    """Path of the program, by the first of its names that there is.

    Without it the test fails in CI and is skipped elsewhere. package: Debian's, which brings it.
    """
    for name in names:
        if path := shutil.which(name):
            return path
    missing = f"NOT RUN: no {' or '.join(names)} on PATH (apt-get install {package})"
    if os.environ.get("CI"):
        pytest.fail(missing, pytrace=False)
    pytest.skip(missing)
