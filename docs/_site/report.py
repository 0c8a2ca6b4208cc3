"""
Puts a real report into the docs: ``python docs/_site/report.py``.

The first part of the demo is run again; what `assertlib report` then prints in a terminal of 80
columns replaces the block in ``read-the-report.md``.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "read-the-report.md"
BLOCK = re.compile(r"(?<=```text\n).*?(?=```\n)", re.DOTALL)
ASSERTLIB = str(Path(sys.executable).parent / "assertlib")
SECONDS = 20


def main() -> None:
    torture = [sys.executable, "-m", "kvstore.torture", "--seconds", str(SECONDS)]
    assertlib("run", "--full", "--target", "kvstore", "--", *torture)
    page = PAGE.read_text(encoding="utf-8")
    screen = assertlib("report")
    PAGE.write_text(BLOCK.sub(lambda _: screen, page, count=1), encoding="utf-8")


def assertlib(*arguments: str) -> str:
    """Run a command as in a terminal of 80 columns; returns what it printed."""
    place = {"COLUMNS": "80", "PYTHONPATH": str(ROOT / "examples" / "kvstore")}
    environment = {**os.environ, **place}
    command = [ASSERTLIB, *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, check=True, text=True, stdout=subprocess.PIPE
    )
    return done.stdout


if __name__ == "__main__":
    main()
