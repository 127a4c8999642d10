"""The polling side of Stoppress: a live page goes in, events come out."""

from __future__ import annotations


def __getattr__(name: str) -> str:
    """`__version__`, looked up when somebody asks: it costs a tenth of a start."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("stoppress")
    except PackageNotFoundError:  # a source tree that was never installed
        return "0.0.0"
