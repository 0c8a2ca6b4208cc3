"""
The report on one screen.
"""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assertlib.catalog.model import Incident
from assertlib.evidence.summary import Population
from assertlib.evidence.verdicts import Level, Verdict
from assertlib.model import REACHABLE, SOMETIMES
from assertlib.recording.trials import SEED_RANDOM
from assertlib.report import brief

from . import samples


def never_true(message, **changed):
    return samples.assertion(
        message, Verdict.NEVER_TRUE, kind=SOMETIMES, false=7, trials_hit=3, **changed
    )


def with_gaps(count, *more, **changed):
    gaps = [never_true(f"state {n} is reached", invariant=f"area.rule-{n}") for n in range(count)]
    invariants = [
        samples.invariant(f"area.rule-{n}", Level.EVALUATED, gap, missing=("sometimes",))
        for n, gap in enumerate(gaps)
    ]
    return samples.summary(*gaps, *more, invariants=invariants, **changed)


def lines(summary, width=brief.WIDTH):
    return brief.render(summary, width).splitlines()


def gaps_of(text):
    return re.findall(r'"(state \d+ is reached)"', text)


@pytest.mark.parametrize("count", [0, 1, 8, 9, 500])
@pytest.mark.parametrize("notes", [0, 1, 50])
def test_a_report_without_violations_fits_a_terminal(count, notes):
    summary = with_gaps(
        count, notes=["shard 1-ab: its last record was lost to a full disk"] * notes
    )
    assert len(lines(summary)) <= brief.LINES


@pytest.mark.parametrize("violations", [1, 3, 40])
def test_a_report_with_violations_has_at_most_fifty_lines(violations):
    long = "the revision of every acknowledged write precedes the revision of the next " * 5
    broken = [samples.violated(example=samples.hit(source=long)) for _ in range(violations)]
    assert len(lines(with_gaps(500, *broken))) <= brief.LINES_WITH_VIOLATION


def test_violations_that_are_not_shown_are_counted():
    text = brief.render(with_gaps(0, *[samples.violated() for _ in range(5)]))
    assert text.count("VIOLATED  ") == 3
    assert "2 more violations; -v shows all" in text


def test_a_single_violation_that_is_not_shown_is_counted_in_the_singular():
    text = brief.render(with_gaps(0, *[samples.violated() for _ in range(4)]))
    assert "1 more violation; -v shows all" in text


def test_a_violation_shows_its_values_its_place_and_its_invariant():
    text = brief.render(samples.of_everything())
    for fact in ("acked = 1042", "synced = 1040", "store/wal.py:88", "3 of 18,204", "must hold:"):
        assert fact in text


def test_a_violation_shows_the_token_that_replays_it():
    text = brief.render(samples.summary(samples.violated(replay="t1-0123456789")))
    assert text.count("assertlib sim replay t1-0123456789") == 2  # At the violation, and at next.


def test_gaps_that_are_not_shown_are_counted():
    text = brief.render(with_gaps(30))
    shown = len(gaps_of(text))
    assert 0 < shown <= brief.MOST_GAPS
    assert f"GAPS ({shown} of 30; -v shows all)" in text


def test_all_gaps_are_shown_where_there_is_space():
    text = brief.render(with_gaps(3))
    assert len(gaps_of(text)) == 3
    assert "\nGAPS\n" in text


def test_a_gap_of_a_past_incident_is_shown_before_others():
    gap = never_true("zebra", invariant="zoo.zebra")
    incident = Incident(ref="etcd#17529", title="Lost", status="confirmed")
    summary = with_gaps(30, gap)
    summary.invariants.append(
        samples.invariant("zoo.zebra", Level.EVALUATED, gap, incident=[incident])
    )
    assert '"zebra"' in brief.render(summary)


def test_the_parts_of_a_derived_assertion_are_one_gap():
    parts = [never_true(f"each kind is seen [bucket={name}]") for name in ("Put", "Txn")]
    text = brief.render(samples.summary(*parts))
    assert text.count("each kind is seen") == 1
    assert "[bucket=Put, bucket=Txn]" in text


def test_a_bound_from_a_few_trials_is_left_out():
    few = brief.render(samples.summary(never_true("x", rate_bounds={"": 0.95})))
    many = brief.render(samples.summary(never_true("x", rate_bounds={"": 0.0758})))
    assert "95" not in few
    assert "at most 7.6% of trials" in many


def test_an_invariant_without_an_assertion_is_counted():
    summary = samples.summary(invariants=[samples.invariant("kv.x", Level.UNASSERTED)])
    assert "\n1 unasserted\n" in brief.render(summary)


def test_of_many_features_that_were_off_a_few_are_named():
    features = tuple("abcde")
    dormant = samples.assertion("m", Verdict.DORMANT, dormant_features=features)
    assert "1 dormant (needs a, b, c and 2 more)" in brief.render(samples.summary(dormant))


def test_faults_are_counted_in_trials():
    population = Population("", "seed-random", 38, (("kill", 12), ("partition", 1)))
    text = brief.render(samples.summary(populations=[population]))
    assert "38 random trials (kill in 12, partition in 1)" in text


@pytest.mark.parametrize("width", [20, 40, 80, 120])
def test_no_word_is_broken_and_only_a_long_word_exceeds_the_width(width):
    for line in lines(samples.of_everything(), width):
        assert len(line) <= max(width, 40) or " " not in line.strip()


def test_a_sentence_is_wrapped_between_words():
    note = "the record of this violation was lost since its disk was full at the end " * 2
    (start, *_, end) = lines(samples.summary(notes=[note.strip()]), 60)[3:-2]
    assert start == "FINDING   the record of this violation was lost since its"
    assert end == "          disk was full at the end the record of this …"


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=200)


@given(message=WORDS, owner=WORDS, width=st.integers(1, 200))
def test_any_text_gives_a_report_that_fits_and_no_control_characters(message, owner, width):
    summary = samples.summary(
        never_true(message, invariant=owner),
        samples.assertion(message + "r", Verdict.UNREACHED, kind=REACHABLE),
        notes=[message],
    )
    text = brief.render(summary, width)
    assert all(character == "\n" or character.isprintable() for character in text)
    if width >= brief.WIDTH:
        assert text.count("\n") <= brief.LINES


def test_damage_is_shown_before_other_findings():
    notes = [*(f"note {n}" for n in range(9)), "Damaged: shard 1-ab: truncated to 0 bytes"]
    assert "truncated to 0 bytes" in brief.render(samples.summary(notes=notes))


# -- the report in the docs --------------------------------------------------------------------

PAGE = Path(__file__).parents[2] / "docs/read-the-report.md"
SECTIONS = {
    "target": r"\w+ @[\w+]+ +run \S+",
    "trials": r"\d+ random trials?",
    "invariants": r"invariants   \d+ of \d+ exercised +sometimes \d+ of \d+",
    "gaps": r"GAPS( \(\d+ of \d+; -v shows all\))?",
    "gap": r'  [\w.-]+ +never true: "',
    "drafts": r"\d+ drafts?",
    "next": r"next: assertlib report",
}


def sections(rows):
    found = [name for row in rows for name, start in SECTIONS.items() if re.match(start, row)]
    return list(dict.fromkeys(found))


def test_the_report_in_the_docs_has_the_form_of_a_report():
    (shown,) = re.findall(r"```text\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    rows = shown.splitlines()
    assert len(rows) <= brief.LINES
    assert max(map(len, rows)) <= brief.WIDTH
    trials = [Population("a workload with a longer name", SEED_RANDOM, 4, (("kill", 4),))]
    drafts = [samples.entry("kv.draft")]
    now = lines(with_gaps(9, populations=trials, drafts=drafts, runs=["20260101-120000-0-abcd"]))
    assert sections(rows) == sections(now) == list(SECTIONS)
