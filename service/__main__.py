"""Where the process begins. Imports next to nothing at first, so that Ctrl-C is heard at once."""

from __future__ import annotations

import os
import signal


def main() -> None:
    """Run the command. Until it can end in order, a signal ends the process at once, with 0."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        signal.signal(number, lambda *_: os._exit(0))
    from service import cli

    for number in numbers:
        signal.signal(number, signal.default_int_handler)
    cli.main()


if __name__ == "__main__":
    main()
