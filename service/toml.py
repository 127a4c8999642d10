"""Reading a TOML file, for settings and for replay scripts alike."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from service.errors import ConfigError


def read(path: Path, what: str) -> dict[str, Any]:
    """The tree in a file. what: first part of the error codes.

    Raises FileNotFoundError, which means something else to every caller, and ConfigError for a file
    that can't be read or is no TOML.
    """
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{what}.unreadable", str(error), where=str(path)) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"{what}.malformed",
            f"not valid TOML: {error}",
            where=str(path),
            fix="see https://toml.io",
        ) from None
