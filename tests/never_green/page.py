"""
Writes the tables of docs/reliability.md from what the tests in this folder run.

``python -m tests.never_green.page`` writes them anew; a test fails while they are out of date.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .faces import FAMILIES
from .sessions import SESSIONS
from .test_damage import FILES
from .ways import WAYS

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- never green -->", "<!-- end of never green -->"

FACES = (
    "run", "pytest", "report", "gate", "history check", "robustness run", "robustness validate",
    "sim explore", "sim replay", "sim challenge", "check", "ingest",
)  # fmt: skip

_NO_RUN = "the command judges no recorded run"
ELSEWHERE = {
    "Programs and tests that record": {
        "history check": _NO_RUN,
        "robustness run": "its processes record as they do under `run`, and any violation makes the"
        " campaign a failure (`tests/robustness/test_effects.py`)",
        "robustness validate": _NO_RUN,
        "sim explore": "a trial is a single thread of a worker process, which records exactly as a process under `run` does",
        "sim replay": "the command records nothing",
        "sim challenge": "an uncaught seeded defect is already red",
        "check": "the command runs nothing",
        "ingest": "the command reads the output of other SDKs",
    },
    "Test sessions": {
        "run": "the command records the session as it does any program",
        "gate": "the command judges what `report` judges",
    },
    "Damaged shards": {
        "run": "the judgement comes before anything can be damaged; damage done by one of its own"
        " processes is covered by a row in the first table",
        "pytest": "the judgement comes before anything can be damaged",
    },
}


CAMPAIGNS = {
    "a partition that an adapter bypasses": (
        "A fault that has no effect is not evidence.", "robustness run", "3",
        "robustness/test_effects.py", "an_adapter_that_ignores_peer_address_is_not_judged",
    ),
    "a server with a session of its own": (
        "Faults reach every descendant of a member.", "robustness run", "red",
        "robustness/test_effects.py", "a_server_with_a_session_of_its_own_is_paused_and_killed",
    ),
    "a campaign too short for its faults": (
        "A kind of fault that was never injected is not judged.", "robustness run", "3",
        "robustness/test_effects.py", "a_campaign_too_short_for_all_its_faults",
    ),
    "a disk that vanished under a campaign": (
        "A harness failure is neither blamed on the store nor counted as a pass.", "robustness run", "3",
        "robustness/test_effects.py", "a_disk_that_is_unmounted_from_outside",
    ),
    "a member that violates an assertion of its own": (
        "SUCCESS and VIOLATED never appear in the same result.", "robustness validate", "red",
        "cli/test_robustness.py", "no_campaign_ends_as_a_success_over_a_violation",
    ),
    "a fault that had no effect excuses a violation": (
        "Only an effective fault can put a violation out of model.", "robustness validate", "red",
        "cli/test_robustness.py", "a_fault_without_effect_excuses_nothing",
    ),
    "members that differ": (
        "Replicas that differ are a failure.", "robustness validate", "red",
        "cli/test_robustness.py", "members_that_differ_violate_replica_equality",
    ),
    "a campaign that broke its own rules": (
        "Nothing is concluded from a test that did not meet its own preconditions.",
        "robustness validate", "3", "cli/test_robustness.py", "a_broken_test_is_never_a_pass",
    ),
    "a seeded defect that nothing catches": (
        "A challenge fails if a seeded defect is not caught.", "sim challenge", "red",
        "sim/test_challenge.py", "a_defect_that_nothing_catches_fails",
    ),
}  # fmt: skip
"""What takes long to run is run where its room is tested: promise, face, ending, file, test."""


class Cell(NamedTuple):
    """What a face ends with in a way: ``red``, ``3``, or why it cannot happen."""

    family: str
    way: str
    promise: str
    face: str
    ends: str

    @property
    def runs(self) -> bool:
        return not self.ends.startswith("because")


def cells() -> Iterator[Cell]:
    """All cells of all tables."""
    for name, way in WAYS.items():
        family = "Programs and tests that record"
        yield Cell(family, name, way.promise, "run", way.run or way.expected)
        yield Cell(family, name, way.promise, "report", way.expected)
        yield Cell(family, name, way.promise, "gate", way.expected)
        yield Cell(family, name, way.promise, "pytest, in a test", way.in_test)
        yield Cell(family, name, way.promise, "pytest, in a child", way.in_child)
    for name, session in SESSIONS.items():
        yield Cell("Test sessions", name, session.promise, "pytest", "red")
        yield Cell("Test sessions", name, session.promise, "report", "red")
    for name in FILES:
        for face in ("report", "gate"):
            yield Cell(
                "Damaged shards", name, "Damage is reported, and is never a pass.", face, "red"
            )
    for name, (promise, face, ends, *_) in CAMPAIGNS.items():
        yield Cell("Campaigns and challenges", name, promise, face, ends)
    for family, cases in FAMILIES.items():
        for name, case in cases.items():
            for face, ends in case.expected.items():
                yield Cell(family, name, case.promise, _command(face), ends)


def _command(face: str) -> str:
    """The command of a face without what it is given."""
    last = face.rpartition("&& ")[2]
    return next(name for name in (*FACES, "docs --check") if last.startswith(name))


def tables() -> str:
    """The tables, in Markdown."""
    every = list(cells())
    legend = (
        f"{sum(cell.runs for cell in every)} cells are tested: those for campaigns and challenges"
        " in the tests of those parts, all others in `tests/never_green`.\n"
        "In the first three tables, every case includes a violation (referred to as *it*), except those in"
        " which nothing in the target is evaluated.\n"
        "*Red* means exit code 1, or 2 for damage and unreadable input, with a line that names the"
        " cause; *3* means exit code 3, because nothing was judged; a dash means that the row does"
        " not apply to that command."
    )
    lines = [legend, ""]
    for family in dict.fromkeys(cell.family for cell in every):
        lines += _table(family, [cell for cell in every if cell.family == family])
    return "\n".join(lines)


def _table(family: str, mine: list[Cell]) -> Iterator[str]:
    faces = list(dict.fromkeys(cell.face for cell in mine))
    ends = {(cell.way, cell.face): cell.ends for cell in mine}
    reasons: dict[str, str] = {}
    yield f"### {family}"
    yield ""
    yield "| case | promise | " + " | ".join(faces) + " |"
    yield "|---|---|" + "---|" * len(faces)
    for way, promise in {cell.way: cell.promise for cell in mine}.items():
        row = [_shown(ends.get((way, face), "-"), reasons) for face in faces]
        yield f"| {way} | {promise} | " + " | ".join(row) + " |"
    yield ""
    for reason, mark in reasons.items():
        yield f"{mark} Not applicable, {reason}."
    for face, reason in ELSEWHERE.get(family, {}).items():
        yield f"`{face}`: not applicable, because {reason}."
    yield ""


def _shown(ends: str, reasons: dict[str, str]) -> str:
    if not ends.startswith("because"):
        return ends
    return reasons.setdefault(ends, f"({chr(ord('a') + len(reasons))})")


def written(page: str) -> str:
    """*page* with the tables as they are now."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{tables()}\n{END}{tail}"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"{PAGE}: {sum(cell.runs for cell in cells())} cells")
