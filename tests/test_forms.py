"""
The two forms of the tests together run each of them, and properties twice.
"""

import subprocess
import sys
from pathlib import Path

from . import forms, zygote
from .evidence.projects import environment

ROOT = Path(__file__).parents[1]


def collected(*words):
    done = zygote.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *words],
        cwd=ROOT, env=environment(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return {line for line in done.stdout.splitlines() if "::" in line}


def test_each_test_has_a_form_and_what_is_random_has_both():
    files = ("tests/evidence/test_order.py", "tests/fuzz", "tests/recording/test_stepping.py")
    every, short, long = (collected(*files, "-m", which) for which in ("", "not long", "long"))
    assert short | long == every
    both = {name.partition("::")[2].partition("[")[0] for name in short & long}
    assert "test_mutated_inputs_end_without_a_traceback_and_hide_no_violation" in both
    assert "test_a_seed_makes_the_same_mutation_again" not in both
    # A property is recognised without a mark.
    assert any(name.startswith("tests/evidence/test_order.py") for name in short & long)
    assert any("test_stepping" in name for name in long - short)


def test_the_places_of_the_short_form_begin_and_end_as_those_of_the_long_one():
    assert forms.places(1, every=7) == [0]
    assert {0, 99} <= set(forms.places(100, every=7))
