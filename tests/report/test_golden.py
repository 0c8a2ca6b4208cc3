"""
Whole reports, character by character.

``UPDATE_GOLDEN=1 python -m pytest tests/report`` writes them anew; look at the difference.
"""

import os
from pathlib import Path

import pytest

from assertlib.report.base import FORMATS

from . import samples

GOLDEN = Path(__file__).parent / "golden"
SAMPLES = {
    "everything": samples.of_everything,
    "clean-partial": samples.of_a_clean_partial_run,
}


@pytest.mark.parametrize("format", ["text", "markdown", "json"])
@pytest.mark.parametrize("name", SAMPLES)
def test_a_report_is_what_it_was(name, format):
    text = FORMATS[format](SAMPLES[name]())
    path = GOLDEN / f"{name}.{format}"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("format", FORMATS)
def test_a_report_ends_in_one_newline(format):
    text = FORMATS[format](samples.of_everything())
    assert text.endswith("\n")


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_summary_gives_the_same_report(format):
    assert FORMATS[format](samples.of_everything()) == FORMATS[format](samples.of_everything())
