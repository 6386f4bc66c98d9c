"""`python -m outboxd`, and what the installed script calls."""

import sys

from outboxd.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
