"""
Entry point of ``assertlib``; reports missing optional packages in one line.
"""

from __future__ import annotations

import os
import sys

INTERRUPTED = 130


def main() -> None:
    """Run the command line."""
    # A closed standard stream is replaced by the null device, so that printing does not fail.
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    try:
        from .app import command_line

        run = command_line()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except ModuleNotFoundError as error:
        # A missing module of assertlib itself is a bug and keeps its traceback.
        if error.name is not None and error.name.startswith("assertlib"):
            raise
        print(
            f"assertlib: the command line needs {error.name}: pip install 'assertlib-sdk[tools]'",
            file=sys.stderr,
        )
        sys.exit(2)
    try:
        sys.exit(run())
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
