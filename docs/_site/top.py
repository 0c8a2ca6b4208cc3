"""
Takes the picture of ``assertlib top`` that is in the docs: ``python docs/_site/top.py OUTPUT``.

The example store runs under kill -9, and is looked at after some seconds.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from io import StringIO
from pathlib import Path

from rich.console import Console

from assertlib.catalog.check import check
from assertlib.catalog.config import find_config
from assertlib.evidence.live import LiveRun
from assertlib.evidence.runs import describe_run
from assertlib.report.top import picture

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 12
PAUSES = (8.0, 1.0)
"""Before each look; only the second knows how fast it goes."""


def main(output: str) -> None:
    config = find_config(ROOT)
    checked = check(config, *config.target("kvstore"))
    with tempfile.TemporaryDirectory() as directory:
        run = Path(directory) / "20261128-1200"
        run.mkdir()
        describe_run(run, checked, config, ["python", "-m", "kvstore.torture"])
        command = [sys.executable, "-m", "kvstore.torture", "--seconds", str(SECONDS)]
        place = {"ASSERTLIB_RUN_DIR": str(run), "PYTHONPATH": str(ROOT / "examples" / "kvstore")}
        with subprocess.Popen(
            command, cwd=directory, env={**os.environ, **place}, stdout=subprocess.DEVNULL
        ):
            live = LiveRun(run, checked)
            for seconds in PAUSES:
                time.sleep(seconds)
                look = live.look()
    console = Console(record=True, width=118, file=StringIO(), force_terminal=True)
    console.print(picture(look, 34))
    svg = console.export_svg(title="assertlib top")
    # A picture fetches no fonts.
    Path(output).write_text(re.sub(r"@font-face \{[^}]*\}", "", svg), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
