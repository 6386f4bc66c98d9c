"""This program as another process: `[sys.executable, "-m", "outboxd", …]` starts it, whatever it came in.

A checkout, an installed package, `outboxd.pyz`, or a binary, which understands `-m` too.
"""

import os
import sys
from pathlib import Path


def environment() -> dict[str, str]:
    """Ours, and what finds the code."""
    return {**os.environ, **inherited()}


def inherited() -> dict[str, str]:
    """What such a process must have of our environment to find its code, when it gets nothing else."""
    if getattr(sys, "frozen", False):
        # It runs from what we have unpacked: one process, gone with a kill, and no second copy.
        return {
            name: text
            for name, text in os.environ.items()
            if name.startswith("_PYI_") or name == "LD_LIBRARY_PATH"
        }
    return {"PYTHONPATH": str(Path(__file__).parents[2])}
