"""Replay: a recorded page served as a live page, so that everything can be seen and tested at once.

Owns what such a page does and how it looks on the wire. It must never know who reads it: no poller,
no Redis.
"""

from __future__ import annotations

from service.replay.recording import Recording, load
from service.replay.server import Serving, make_app, serve
from service.replay.timeline import Change, Expected, Step, Timeline

__all__ = [
    "Change",
    "Expected",
    "Recording",
    "Serving",
    "Step",
    "Timeline",
    "load",
    "make_app",
    "serve",
]
