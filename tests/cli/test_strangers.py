"""
Tapes and witnesses that a stranger wrote: what they name is not imported.
"""

import json

import pytest

from assertlib.sim.tapes import TrialSpec, write
from assertlib.sim.trial import Options

from .test_sim import BANK, CATALOG, PROJECT, gate, sim

SPY = 'from pathlib import Path\nPath("{spied}").touch()\nasync def scenario(world): pass\n'


@pytest.fixture
def bank(tmp_path):
    """A project with the run directory of a stranger in it."""
    root = tmp_path / "bank"
    run = root / ".assertlib" / "runs" / "strange"
    (run / "sim").mkdir(parents=True)
    (run / "run.json").write_text('{"schema": 2, "scan": []}')
    (root / "catalog").mkdir()
    (root / "pyproject.toml").write_text(PROJECT.replace('"bank.py"', '"bank.py", "tests"'))
    (root / "catalog" / "bank.toml").write_text(CATALOG)
    (root / "bank.py").write_text(BANK)
    (root / "tests").mkdir()
    return root


def spies(bank, *places):
    for place in places:
        path = bank / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(SPY.format(spied=bank.parent / "spied"))


RUN = ".assertlib/runs/strange"
EVERYWHERE = [
    f"{RUN}/evil.py", f"{RUN}/sim/evil.py", "witnesses/evil.py", "downloads/run/evil.py",
    "tests/run/evil.py", "loose.py", "package/__init__.py",
]  # fmt: skip


@pytest.mark.parametrize(
    ("target", "cwd"),
    [
        (f"{RUN}/evil.py:scenario", "."),
        ("{bank}/" + f"{RUN}/sim/evil.py:scenario", "."),
        ("evil.py:scenario", RUN),
        ("evil:scenario", RUN),
        ("witnesses/evil.py:scenario", "."),
        ("witnesses.evil:scenario", "."),
        ("tests/../witnesses/evil.py:scenario", "."),
        ("downloads/run/evil.py:scenario", "."),
        ("downloads.run.evil:scenario", "."),
        ("tests/run/evil.py:scenario", "."),
        ("tests/link.py:scenario", "."),
        ("tests.link:scenario", "."),
        ("loose:scenario", "."),
        ("package:scenario", "."),
        (".loose:scenario", "."),
        ("os:system", "."),
        ("", "."),
        (":", "."),
    ],
)
def test_what_a_tape_names_outside_of_the_projects_source_is_not_imported(bank, target, cwd):
    spies(bank, *EVERYWHERE)
    # Within the source of the project, but the whole of it is a run directory, or a link to one.
    (bank / "tests" / "run" / "run.json").write_text("{}")
    (bank / "tests" / "link.py").symlink_to(bank / RUN / "evil.py")
    name = target.format(bank=bank)
    token = write(bank / RUN / "sim", TrialSpec(name, Options(), None, (1,), shows="x"))
    done = sim(bank / cwd, "replay", token)
    assert not (bank.parent / "spied").exists()
    assert done.returncode == 2
    assert (
        f"{token}: scenario {name!r} is not part of the project, so it was not run" in done.stderr
    )
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("place", ["witnesses/evil.py", ".assertlib/sim/evil.py"])
def test_tapes_and_what_lies_beside_them_are_no_source_even_of_a_whole_project(bank, place):
    (bank / "pyproject.toml").write_text(PROJECT.replace('"bank.py"', '"."'))
    spies(bank, place)
    done = sim(bank, "replay", f"{place}:scenario@1")
    assert done.returncode == 2
    assert "is not part of the project" in done.stderr
    assert not (bank.parent / "spied").exists()


def test_the_token_of_a_seed_names_nothing_but_the_projects_source(bank):
    spies(bank, "downloads/evil.py")
    done = sim(bank, "replay", "downloads/evil.py:scenario@1")
    assert done.returncode == 2
    assert "you trust it, set it as `scenario` of a target" in done.stderr
    assert not (bank.parent / "spied").exists()


@pytest.mark.parametrize(
    "target", ["tests/rounds.py:scenario", "tests.rounds:scenario", "bank:scenario"]
)
def test_a_scenario_in_the_source_of_a_target_is_replayed(bank, target):
    spies(bank, "tests/rounds.py")
    done = sim(bank, "replay", f"{target}@1")
    assert done.returncode == 0, done.stderr
    assert (bank.parent / "spied").exists() == (target != "bank:scenario")


def test_modules_that_lie_in_the_working_directory_are_not_imported(bank):
    spies(
        bank, *(f"{RUN}/{name}.py" for name in ("asyncio", "json", "bank", "typing", "assertlib"))
    )
    done = sim(bank / RUN, "replay", "bank:scenario@1")
    assert done.returncode == 0, done.stderr
    assert not (bank.parent / "spied").exists()


def test_the_configuration_of_a_run_directory_runs_no_scenario(bank):
    spies(bank, f"{RUN}/bank.py")
    (bank / RUN / "pyproject.toml").write_text(PROJECT)
    done = sim(bank / RUN, "replay", "bank:scenario@1")
    assert done.returncode == 2
    assert "pyproject.toml: is in a run directory, whose scenarios are not trusted" in done.stderr
    assert not (bank.parent / "spied").exists()


def test_a_witness_that_names_code_of_its_own_is_not_replayed_by_the_gate(bank):
    state = '    sometimes(accounts["a"] < 0, "an account is overdrawn")\n'
    (bank / "bank.py").write_text(BANK.replace(state, ""))
    sim(bank, "explore", "--seeds", "1", "--first", "1")
    assert gate(bank, "--update").returncode == 0
    (bank / "bank.py").write_text(BANK)
    sim(bank, "explore", "--seeds", "1", "--first", "1")
    spies(bank, "witnesses/evil.py")
    shown = "an account is overdrawn"
    write(
        bank / "witnesses",
        TrialSpec("witnesses/evil.py:scenario", Options(), None, (), shows=shown),
    )
    done = gate(bank)
    assert done.returncode == 1
    assert "its witness cannot be replayed: t1-" in done.stdout
    assert "is not part of the project, so it was not run" in done.stdout
    assert not (bank.parent / "spied").exists()


def test_a_tape_changes_nothing_but_what_options_are_for(bank):
    token = write(bank / RUN / "sim", TrialSpec("bank:scenario", Options(), None, (1,)))
    path = bank / RUN / "sim" / f"{token}.tape.json"
    tape = json.loads(path.read_text())
    tape["options"]["assumes"] = {"bank.total": ["disk-honest"]}
    path.write_text(json.dumps(tape))
    done = sim(bank, "replay", token)
    assert done.returncode == 2
    assert "cannot read the options: unknown option 'assumes'" in done.stderr
