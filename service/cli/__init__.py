"""`stoppress`, the command, and the composition root: it alone wires the parts, reads the
environment and the real clock, and imports the workers."""

from service.cli import alerts, look, pages, parts
from service.cli.base import cli, main

__all__ = ["alerts", "cli", "look", "main", "pages", "parts"]
