"""The polling side of Stoppress: a live page goes in, events come out."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("stoppress")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0.0.0"
