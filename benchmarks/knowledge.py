"""
What `assertlib context`, `assertlib knowledge` and `assertlib catalog import` cost and find:
``python -m benchmarks.knowledge [context|tree|history|import|trend]``.

*context* ranks the invariants for each seeded defect of the example store, with all records and
without the defect's own.  *tree* times it on a generated tree, *history* times `knowledge` on a
generated repository, *import* times a long list, *trend* draws docs/knowledge.svg.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from assertlib.catalog.config import find_config
from assertlib.catalog.imports.markdown import read_markdown
from assertlib.knowledge.context import context_of
from assertlib.knowledge.context_text import as_text
from assertlib.knowledge.index import read_index, touched_by_patch
from assertlib.knowledge.status import Status
from assertlib.knowledge.survey import trend

ROOT = Path(__file__).resolve().parents[1]
DEFECTS = ROOT / "examples/kvstore/defects"
ASSERTLIB = str(Path(sys.executable).parent / "assertlib")
FIRST = 5


def rank_defects() -> None:
    """Print at which place the invariant that each seeded defect breaks is ranked."""
    config = find_config(ROOT)
    index = read_index(config, list(config.targets))
    words, found, alone = [], 0, 0
    print(f"{'seeded defect':38} {'invariant':28} place  without its own record")
    patches = sorted(DEFECTS.glob("*.patch"))
    for path in patches:
        text = path.read_text(encoding="utf-8")
        broken = re.findall(r"^Invariant: (.+)$", text, re.MULTILINE)[0]
        places = []
        for own in (None, path.stem):
            touched = touched_by_patch(index, text)
            context = context_of(index, touched, {}, leaving_out=own)
            ids = [item.relevant.entry.id for item in context.items]
            places.append(ids.index(broken) + 1 if broken in ids else 0)
            if own is None:
                words.append(len(as_text(context).split()))
        found += 0 < places[0] <= FIRST
        alone += 0 < places[1] <= FIRST
        shown = [str(place or "-") for place in places]
        print(f"{path.stem:38} {broken:28} {shown[0]:>5}  {shown[1]}")
    print(f"among the first {FIRST}: {found} of {len(patches)}, without its own record {alone}")
    print(f"words: median {statistics.median(words):.0f}, most {max(words)}")


def time_context() -> None:
    """Print how long the command takes for each patch, as a process, with a warm cache."""
    patches = sorted(DEFECTS.glob("*.patch"))
    command = [ASSERTLIB, "context", "--diff"]
    _timed([*command, str(patches[0])], ROOT)
    times = [_timed([*command, str(path)], ROOT) for path in patches for _ in range(3)]
    print(f"context --diff on this repository: {_spread(times)}")


def time_tree(files: int) -> None:
    """Print how long the command takes on a generated tree."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        _write_project(root, files, invariants=100)
        patch = root / "change.patch"
        patch.write_text(_PATCH, encoding="utf-8")
        command = [ASSERTLIB, "context", "--diff", str(patch)]
        cold = _timed(command, root)
        # Files that have just been written are read again, which no checkout is for long.
        for path in root.rglob("*.py"):
            os.utime(path, (1_000_000_000, 1_000_000_000))
        _timed(command, root)
        times = [_timed(command, root) for _ in range(20)]
        print(f"context --diff on {files:,} files: cold {cold:.2f} s, warm {_spread(times)}")


def time_history(commits: int, invariants: int) -> None:
    """Print how long `assertlib knowledge` takes on a generated repository."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        _write_project(root, 300, invariants=invariants)
        _write_history(root, commits)
        command = [ASSERTLIB, "knowledge", "--format", "json"]
        cold = _timed(command, root)
        warm = [_timed(command, root) for _ in range(5)]
        counted = subprocess.run(
            ["git", "rev-list", "--count", "HEAD"], cwd=root, capture_output=True, check=True
        )
        print(
            f"knowledge on {int(counted.stdout):,} commits and {invariants} invariants:"
            f" cold {cold:.2f} s, warm {_spread(warm)}"
        )


def time_import(characters: int) -> None:
    """Print how long it takes to read a long list, and how many statements it has."""
    parts = []
    for number in range(characters):
        parts.append(
            f"### INV-{number}: Rule {number}\n\nA record with the number {number} is on disk before"
            f" it is acknowledged, and never after.\n\nWhy: callers act on it.\n"
            f"Enforced in: src/log_{number}.py:{number}\n\n"
        )
        if sum(map(len, parts)) > characters:
            break
    text = "# Invariants\n\n" + "".join(parts)
    times = [_measured(lambda: read_markdown(text)) for _ in range(7)]
    count = len(read_markdown(text).items)
    print(f"reading {len(text):,} characters with {count} invariants: {_spread(times)}")


_COLOURS = {
    Status.LOST: "#b3261e", Status.AT_RISK: "#e07b00", Status.FADING: "#c9a400",
    Status.ALIVE: "#2e8b57", Status.UNKNOWN: "#9aa3ad",
}  # fmt: skip


def draw_trend(path: Path) -> None:
    """Draw the invariants of this repository by status at ten days of its history."""
    config = find_config(ROOT)
    points = trend(config, list(config.targets), 10)
    for day, counts in points:
        print(day, " ".join(f"{count} {status}" for status, count in counts.items() if count))
    most = max(sum(counts.values()) for _, counts in points)
    attributes = 'viewBox="0 0 720 220" font-family="sans-serif" font-size="10"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {attributes}>']
    parts.append('<rect width="720" height="220" fill="#fff"/>')
    for number, (day, counts) in enumerate(points):
        top = 180.0
        for status in Status:
            size = 160 * counts[status] / most
            top -= size
            if size:
                parts.append(
                    f'<rect x="{number * 70 + 14}" y="{top:.1f}" width="56" height="{size:.1f}"'
                    f' fill="{_COLOURS[status]}"><title>{day}: {counts[status]} {status}</title></rect>'
                )
        total = sum(counts.values())
        parts.append(f'<text x="{number * 70 + 14}" y="{top - 4:.1f}" fill="#333">{total}</text>')
        parts.append(f'<text x="{number * 70 + 14}" y="196" fill="#333">{day}</text>')
    for number, status in enumerate(Status):
        parts.append(
            f'<rect x="{number * 110 + 14}" y="204" width="9" height="9" fill="{_COLOURS[status]}"/>'
            f'<text x="{number * 110 + 27}" y="212" fill="#333">{status}</text>'
        )
    path.write_text("\n".join([*parts, "</svg>", ""]), encoding="utf-8")


def _measured(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def _timed(command: Sequence[str], root: Path) -> float:
    return _measured(lambda: subprocess.run(command, cwd=root, check=True, capture_output=True))


def _spread(times: Sequence[float]) -> str:
    ordered = sorted(times)
    late = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return f"median {statistics.median(times):.2f} s, p95 {late:.2f} s, most {ordered[-1]:.2f} s"


_PATCH = """\
--- a/store/part_0.py
+++ b/store/part_0.py
@@ -4,4 +4,4 @@
 def write_0(log, value):
-    log.value_0 = value
+    log.value_0 = value + 1
     CHECK.always(log.value_0 >= 0, "value 0 is not negative")
     return value
"""


def _write_project(root: Path, files: int, invariants: int) -> None:
    (root / "store").mkdir(parents=True)
    (root / "catalog").mkdir()
    (root / "pyproject.toml").write_text('[tool.assertlib.targets.store]\nsource = ["store"]\n')
    entries = ["schema = 1\n"]
    entries += [
        f'[rule-{number}]\ntitle = "Rule {number}"\nkind = "safety"\nstatus = "active"\n'
        f'statement = "Value {number} is not negative."\nwhy = "It is counted."\n'
        f'debug = "Look."\nexpects = ["always"]\n[[rule-{number}.source]]\nref = "a benchmark"\n'
        for number in range(invariants)
    ]
    (root / "catalog/part.toml").write_text("\n".join(entries))
    body = "\n".join(f"def helper_{n}(x):\n    return x + {n}\n" for n in range(20))
    for number in range(files):
        asserting = number < invariants
        lines = [
            "from assertlib import Invariant" if asserting else "import os",
            f'CHECK = Invariant("part.rule-{number}")' if asserting else "",
            "",
            f"def write_{number}(log, value):",
            f"    log.value_{number} = value",
            f'    CHECK.always(log.value_{number} >= 0, "value {number} is not negative")'
            if asserting
            else "    pass",
            "    return value",
            "",
            body,
        ]
        (root / f"store/part_{number}.py").write_text("\n".join(lines))


def _write_history(root: Path, commits: int) -> None:
    """Write a history by `git fast-import`: each commit of somebody else changes some file."""
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"}
    subprocess.run(["git", "init", "-q"], cwd=root, env=environment, check=True)
    files = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.*")
             if ".git" not in path.parts}  # fmt: skip
    source = sorted(name for name in files if name.startswith("store/"))
    with subprocess.Popen(
        ["git", "fast-import", "--quiet"], cwd=root, env=environment, stdin=subprocess.PIPE
    ) as git:
        assert git.stdin is not None
        for number in range(commits):
            name = source[number % len(source)]
            changed = files if number == 0 else {name: files[name] + b"\n# a note %d\n" % number}
            if number:
                files[name] = changed[name]
            author = f"Person {number % 40} <p{number % 40}@example.org> {1_500_000_000 + number * 10_000} +0000"
            message = f"Change {number}\n".encode()
            git.stdin.write(
                f"commit refs/heads/master\nauthor {author}\ncommitter {author}\n".encode()
            )
            git.stdin.write(b"data %d\n%s" % (len(message), message))
            for path, data in changed.items():
                git.stdin.write(
                    f"M 100644 inline {path}\ndata {len(data)}\n".encode() + data + b"\n"
                )
    subprocess.run(["git", "symbolic-ref", "HEAD", "refs/heads/master"], cwd=root, check=True)
    subprocess.run(["git", "reset", "-q", "--hard"], cwd=root, env=environment, check=True)


def main() -> None:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help="default: all but trend")
    parser.add_argument("--commits", type=int, default=20_000)
    parser.add_argument("--files", type=int, default=5_000)
    arguments = parser.parse_args()
    wanted = set(arguments.parts or ["context", "tree", "history", "import"])
    if "context" in wanted:
        rank_defects()
        time_context()
    if "tree" in wanted:
        time_tree(arguments.files)
    if "history" in wanted:
        time_history(arguments.commits, 300)
    if "import" in wanted:
        time_import(88_000)
    if "trend" in wanted:
        draw_trend(ROOT / "docs/knowledge.svg")


if __name__ == "__main__":
    main()
