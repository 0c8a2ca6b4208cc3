"""
What a report tells, in every format.
"""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assertlib.evidence.summary import Population
from assertlib.evidence.verdicts import Level, Verdict
from assertlib.model import ALWAYS, REACHABLE, SOMETIMES
from assertlib.report import markdown
from assertlib.report.base import FORMATS

from . import samples

in_every_format = pytest.mark.parametrize("format", FORMATS)
TO_READ = pytest.mark.parametrize("format", ["text", "markdown"])


def rendered(format, summary):
    return FORMATS[format](summary)


def text(*assertions, **changed):
    return FORMATS["text"](samples.summary(*assertions, **changed))


def as_json(summary):
    return json.loads(FORMATS["json"](summary))


# -- the golden report of the design -----------------------------------------------------


GOLDEN_LINES = [
    'VIOLATED   wal.fsync-before-ack  "ack follows fsync"   false in 3 of 18,204, in 2 of 38 trials',
    (
        "NOT EXERCISED  watch.reliable   always held 9,113×;"
        '  sometimes "victim catches up" evaluated 802×, never true'
    ),
    "           rate ≤ 7.6% (95%);  guards etcd#17529;  nearest: 61 of 64",
]


@pytest.mark.parametrize("line", GOLDEN_LINES, ids=["violated", "not exercised", "its gap"])
def test_the_lines_of_the_golden_report_are_told_word_by_word(line):
    assert line in rendered("text", samples.of_everything()).splitlines()


def test_the_title_tells_target_commit_run_trials_and_totals():
    title = rendered("text", samples.of_everything()).splitlines()[0]
    assert title == (
        "kvstore @4f2c1e0  run 8d1f  38 random trials (kill in 12)"
        "   invariants 1/8 exercised, sometimes 2/3"
    )


# -- the same in every format ----------------------------------------------------------------

TOLD = [
    "4f2c1e0",
    "ack follows fsync",
    "store/wal.py",
    "snapshot is synced",
    "lease.no-early-expiry",
    "victim catches up",
    "61 of 64",
    "etcd#17529",
    "lease expires",
    "compacted watch is cancelled",
    "raft",
    "leader is unique",
    "kv.first-revision",
    "kv.draft",
    "several writes share one fsync",
    "a snapshot is taken",
    "is open",
    "its condition raised KeyError",
    "made with eval",
    "were too long and were truncated",
    "Why wal.fsync-before-ack matters.",
    "Compare acked and synced.",
]


@in_every_format
@pytest.mark.parametrize("words", TOLD)
def test_every_format_tells(format, words):
    unescaped = rendered(format, samples.of_everything()).replace("\\#", "#")
    assert words in unescaped


def test_json_tells_which_features_a_dormant_assertion_needs():
    (dormant,) = [
        each
        for each in as_json(samples.of_everything())["assertions"]
        if each["verdict"] == "dormant"
    ]
    assert "raft" in json.dumps({**dormant, "invariant": None, "message": None})


ORDER = [
    "ack follows fsync",
    "snapshot is synced",
    "lease.no-early-expiry",
    "watch.reliable",
    "kv.first-revision",
    "kv.draft",
    "made with eval",
]


@in_every_format
def test_every_format_tells_the_worst_first(format):
    report = rendered(format, samples.of_everything())
    places = [report.index(words) for words in ORDER]
    assert places == sorted(places)


def test_json_counts_what_the_title_counts():
    report = as_json(samples.of_everything())
    assert report["sometimes"] == {"seen": 2, "total": 3}
    assert report["populations"] == [
        {"name": "", "sampler": "seed-random", "trials": 38, "faults": {"kill": 12}}
    ]


def test_json_names_its_schema():
    assert as_json(samples.of_everything())["schema"] == 1


# -- the title ---------------------------------------------------------------------------


@in_every_format
def test_a_partial_run_says_so(format):
    report = rendered(format, samples.summary(full=False))
    assert "(partial)" in report.replace("\\", "")


@in_every_format
def test_a_full_run_does_not_say_that_it_is_partial(format):
    report = rendered(format, samples.summary(full=True))
    if format == "html":
        # Without the script, which can write either.
        report = report.partition('id="data">')[2].partition("</script>")[0]
        assert json.loads(report)["full"] is True
    assert "(partial)" not in report


def test_without_a_commit_none_is_shown():
    assert "@" not in text(commit=None).splitlines()[0]


def test_several_runs_are_counted():
    assert "3 runs" in text(runs=["a", "b", "c"])


def test_without_trials_it_says_so():
    assert "no trials" in text()


def test_populations_are_told_apart():
    populations = [
        Population("calm", "seed-random", 10, ()),
        Population("kill", "seed-random", 38, (("kill", 12), ("partition", 1))),
        Population("", "set", 4, ()),
    ]
    title = text(populations=populations).splitlines()[0]
    assert "10 random trials of calm" in title
    assert "38 random trials of kill (kill in 12, partition in 1)" in title
    assert ", 4 trials " in title


def test_only_exercised_and_proven_invariants_count_as_exercised():
    levels = [
        samples.invariant(f"kv.i{number}", level, samples.assertion("a"))
        for number, level in enumerate(Level)
    ]
    assert "invariants 2/6 exercised" in text(invariants=levels)


# -- violations ----------------------------------------------------------------------------


@TO_READ
def test_a_violation_of_no_invariant_is_shown_too(format):
    report = rendered(format, samples.summary(samples.violated(invariant=None)))
    assert "no invariant" in report


@TO_READ
def test_a_violation_whose_record_is_lost_says_that_the_counts_are_exact(format):
    report = rendered(format, samples.summary(samples.violated(example=None)))
    assert "the counters are exact" in report


def test_without_trials_no_trials_are_counted():
    assert "false in 3 of 18,204\n" in text(samples.violated())


def test_huge_details_are_shortened_to_one_line():
    example = samples.hit(details=json.dumps({"blob": "x" * 60_000}), values={}, source=None)
    first = text(samples.violated(example=example)).splitlines()[2]
    assert "…" in first
    assert len(first) < 300


def test_details_that_fit_are_told_in_full():
    assert "acked=1042 synced=1040" in text(samples.violated())


@pytest.mark.parametrize("details", ["[1, 2]", "7", "no JSON", '"text"'])
def test_details_of_any_shape_are_told(details):
    assert details in text(samples.violated(example=samples.hit(details=details)))


# -- what was not proved -----------------------------------------------------------------------


def not_exercised(**changed):
    short = samples.assertion("slow", Verdict.NEVER_TRUE, kind=SOMETIMES, false=802, **changed)
    result = samples.invariant("watch.reliable", Level.EVALUATED, short, missing=("sometimes",))
    return samples.summary(short, invariants=[result])


@TO_READ
def test_a_rate_is_bounded_by_population(format):
    bounds = {"calm": 0.2589, "kill": 0.0758}
    report = rendered(format, not_exercised(rate_bounds=bounds))
    assert "rate ≤ 25.9% (95%) in calm" in report
    assert "rate ≤ 7.6% (95%) in kill" in report


@TO_READ
def test_without_random_trials_no_rate_is_told(format):
    assert "rate" not in rendered(format, not_exercised())


@TO_READ
def test_a_small_bound_is_not_told_as_nothing(format):
    assert "≤ 0.0%" not in rendered(format, not_exercised(rate_bounds={"": 0.0003}))


@TO_READ
def test_how_near_it_came_is_told(format):
    assert "nearest: 61 of 64" in rendered(format, not_exercised(nearest="61 of 64"))


def test_an_invariant_that_lacks_an_assertion_of_a_kind_says_which():
    held = samples.assertion("held", kind=SOMETIMES, true=1)
    result = samples.invariant("kv.a", Level.EVALUATED, held, missing=("always", "clause b"))
    assert "needs always, clause b" in text(held, invariants=[result])


def test_a_dormant_invariant_is_not_blamed_for_being_unexercised():
    dormant = samples.assertion("a", Verdict.DORMANT, dormant_features=("raft",))
    result = samples.invariant("raft.a", Level.ASSERTED, dormant, missing=("always",))
    report = text(dormant, invariants=[result])
    assert "NOT EXERCISED" not in report
    assert "DORMANT 1 (needs raft)" in report


@pytest.mark.parametrize("verdict", [Verdict.INCONCLUSIVE, Verdict.DORMANT])
def test_a_state_is_not_called_missed_where_its_absence_says_nothing(verdict):
    report = text(samples.assertion("slow", verdict, kind=SOMETIMES), full=False)
    assert "MISSED" not in report


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [(SOMETIMES, Verdict.NEVER_TRUE), (SOMETIMES, Verdict.UNREACHED), (REACHABLE, "unreached")],
    ids=["never true", "unreached", "reachable"],
)
def test_states_that_were_not_seen_are_listed_as_missed(kind, verdict):
    report = text(samples.assertion("slow", Verdict(verdict), kind=kind, false=0))
    assert "MISSED " in report
    assert "sometimes 0/1" in report


def test_states_that_were_missed_come_first():
    report = text(
        samples.assertion("a seen one", kind=SOMETIMES, true=1),
        samples.assertion("b missed one", Verdict.UNREACHED, kind=SOMETIMES),
    )
    assert report.index("b missed one") < report.index("a seen one")


def test_an_always_is_no_state():
    assert "SOMETIMES" not in text(samples.assertion("a", kind=ALWAYS, true=1))


@pytest.mark.parametrize(
    ("verdict", "label"),
    [
        (Verdict.UNREACHED, "UNREACHED 1"),
        (Verdict.NEVER_TRUE, "NEVER TRUE 1"),
        (Verdict.VACUOUS, "VACUOUS 1"),
        (Verdict.INCONCLUSIVE, "INCONCLUSIVE 1"),
        (Verdict.OUT_OF_MODEL, "OUT OF MODEL 1"),
        (Verdict.DORMANT, "DORMANT 1"),
    ],
)
@TO_READ
def test_each_verdict_is_counted(format, verdict, label):
    report = rendered(format, samples.summary(samples.assertion("a", verdict)))
    assert label in report


@TO_READ
def test_naked_and_draft_invariants_are_counted_and_named(format):
    report = rendered(
        format,
        samples.summary(
            invariants=[samples.invariant("kv.bare", Level.UNASSERTED)],
            drafts=[samples.entry("kv.draft", status="draft")],
        ),
    )
    for words in ("UNASSERTED 1", "DRAFT 1", "kv.bare", "kv.draft"):
        assert words in report


@pytest.mark.parametrize(
    ("verdict", "explained"), [(Verdict.VIOLATED, True), (Verdict.OUT_OF_MODEL, False)]
)
def test_only_violations_are_explained_in_full(verdict, explained):
    broken = samples.violated()
    broken.verdict = verdict
    known = samples.invariant("wal.fsync-before-ack", Level.VIOLATED, broken)
    assert ("why it matters" in text(broken, invariants=[known])) is explained


# -- a limited size ------------------------------------------------------------------------


def limited(summary, limit):
    return markdown.render(summary, limit)


def with_many_states(count=2000):
    everything = samples.of_everything()
    everything.assertions += [
        samples.assertion(f"state {n}", kind=SOMETIMES, true=1, trials_hit=1, trials_true=1)
        for n in range(count)
    ]
    return everything


def test_markdown_within_its_limit_is_whole():
    assert limited(samples.of_everything(), 1 << 20) == rendered(
        "markdown", samples.of_everything()
    )


def test_markdown_keeps_the_worst_within_its_limit():
    text = limited(with_many_states(), 10_000)
    assert len(text.encode()) <= 10_000
    for words in ("VIOLATED", "acked = 1042", "**MISSED**", "lease.no-early-expiry"):
        assert words in text


def test_markdown_counts_the_lines_that_it_leaves_out():
    whole, text = rendered("markdown", with_many_states()), limited(with_many_states(), 10_000)
    (left_out,) = re.findall(r"^([\d,]+) lines left out", text, re.MULTILINE)
    missing = whole.count("\n") - (text.count("\n") - 1)
    assert int(left_out.replace(",", "")) == missing


@given(st.integers(4096, 20_000))
def test_markdown_never_exceeds_its_limit_nor_leaves_a_fence_open(limit):
    text = limited(with_many_states(200), limit)
    assert len(text.encode()) <= limit
    assert text.count("```") % 2 == 0


# -- lists of names ----------------------------------------------------------------------------


def test_many_drafts_are_listed_on_several_lines():
    drafts = [samples.entry(f"kv.a-draft-of-something-{number}") for number in range(60)]
    lines = [line for line in text(drafts=drafts).splitlines() if "kv.a-draft" in line]
    assert max(map(len, lines)) <= 100
    assert all(any(draft.id in line for line in lines) for draft in drafts)


def test_a_list_of_unreached_assertions_counts_the_states_that_are_listed_elsewhere():
    unreached = [
        samples.assertion("it is open", Verdict.UNREACHED),
        samples.assertion("it fills up", Verdict.UNREACHED, kind=SOMETIMES),
        samples.assertion("it is drained", Verdict.UNREACHED, kind=REACHABLE),
    ]
    lines = text(*unreached).splitlines()
    assert "UNREACHED 3" in " ".join(lines)
    assert 'UNREACHED  "it is open", and 2 states under SOMETIMES' in lines


# -- one of a kind ---------------------------------------------------------------------------------


def test_a_violation_in_a_single_trial_counts_it_in_the_singular():
    one = Population("", "seed-random", 1, (("kill", 1),))
    broken = samples.assertion("it holds", Verdict.VIOLATED, false=1, trials_false=1)
    report = text(broken, populations=[one])
    assert "in 1 of 1 trial\n" in report
    assert "1 random trial (kill)" in report
