"""
Texts that would break a report, in every place where a text can come from outside.
"""

import json

import pytest
from markdown_it import MarkdownIt

from assertlib.catalog.model import Incident
from assertlib.evidence.summary import Population
from assertlib.evidence.verdicts import Level, Verdict
from assertlib.model import SOMETIMES, Location
from assertlib.report.base import FORMATS

from . import samples

HARMLESS = "a text"
HOSTILE = {
    "lines": "a\nVIOLATED   forged\r\n# forged\x0b\x0c\x1c\x85\u2028\u2029VIOLATED   forged",
    "a table row": "a | b | c |\n|---|---|\n| VIOLATED | forged |",
    "code": "a ``` b\n```\n# forged\n~~~",
    "escapes": "\x1b[2J\x1b[31mred\x1b[0m\x1b]8;;http://x\x07\x00\x08\x7f\x9b31m",
    "bidi": "\u202egnihton\u202c \u2066x\u2069 \u200f \u200b \ufeff",
    "html": "<script>alert(1)</script><!-- --><img src=x onerror=y> ]]> &lt;b&gt; <details>",
    "markdown": "**a** _b_ [c](javascript:d) ![e](f) # g - h <i@j.k> <http://l>",
    "surrogates": "\ud800 \udcff",
    "backslashes": "a \\| b \\` c \\\\| d \\",
}


def of_values(text):
    return samples.summary(samples.violated(example=samples.hit(values={"acked": text})))


def of_names(text):
    return samples.summary(samples.violated(example=samples.hit(values={text: "1"})))


def of_location(text):
    example = samples.hit(location=Location(text, text, text, 88))
    return samples.summary(samples.violated(example=example))


def of_example(field):
    def made(text):
        return samples.summary(samples.violated(example=samples.hit(**{field: text})))

    return made


def of_message(text):
    broken = samples.violated(example=samples.hit(text))
    broken.message = text
    return samples.summary(
        broken,
        samples.assertion(text, Verdict.UNREACHED),
        samples.assertion(text, Verdict.NEVER_TRUE, kind=SOMETIMES, false=1),
        troubles=[(text, "a reason", 1)],
        undeclared=[text],
        invariants=[
            samples.invariant("kv.a", Level.ASSERTED, samples.assertion(text, Verdict.UNREACHED))
        ],
    )


def of_details(text):
    told = json.dumps({text: text, "list": [text]})
    return samples.summary(samples.violated(example=samples.hit(details=told)))


def of_invariant(text):
    return samples.summary(
        samples.violated(invariant=text, example=samples.hit(invariant=text)),
        samples.assertion("a", kind=SOMETIMES, true=1, invariant=text),
    )


def of_nearest(text):
    short = samples.assertion("a", Verdict.NEVER_TRUE, kind=SOMETIMES, false=1, nearest=text)
    return samples.summary(short, invariants=[samples.invariant("kv.a", Level.EVALUATED, short)])


def of_incident(text):
    incident = Incident.model_construct(ref=text, title=text, status="confirmed")
    broken = samples.violated(invariant="kv.a")
    result = samples.invariant("kv.a", Level.ASSERTED, broken, missing=("always",))
    object.__setattr__(result.entry.invariant, "incident", (incident,))
    return samples.summary(broken, invariants=[result])


def of_population(text):
    return samples.summary(populations=[Population(text, "set", 3, ((text, 1),))])


def of_rate(text):
    short = samples.assertion(
        "a", Verdict.NEVER_TRUE, kind=SOMETIMES, false=1, rate_bounds={text: 0.5}
    )
    return samples.summary(short, invariants=[samples.invariant("kv.a", Level.EVALUATED, short)])


def of_feature(text):
    return samples.summary(samples.assertion("a", Verdict.DORMANT, dormant_features=(text,)))


def of_summary(**fields):
    def made(text):
        return samples.summary(**{name: make(text) for name, make in fields.items()})

    return made


PLACES = {
    "message": of_message,
    "details": of_details,
    "details that are no JSON": of_example("details"),
    "condition": of_example("source"),
    "values": of_values,
    "names of values": of_names,
    "trial": of_example("trial"),
    "location": of_location,
    "invariant": of_invariant,
    "nearest": of_nearest,
    "incident": of_incident,
    "population": of_population,
    "population of a rate": of_rate,
    "feature": of_feature,
    "target": of_summary(target=str),
    "commit": of_summary(commit=lambda text: text[:7]),
    "run": of_summary(runs=lambda text: [text]),
    "reason of trouble": of_summary(troubles=lambda text: [("a", text, 1)]),
    "note": of_summary(notes=lambda text: [text]),
}

anywhere = pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
whatever = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)


def lines(report):
    return report.split("\n")


@anywhere
@whatever
def test_the_text_report_stays_in_its_lines(place, text):
    report = FORMATS["text"](place(text))
    assert all(line.isprintable() for line in lines(report))
    assert len(lines(report)) == len(lines(FORMATS["text"](place(HARMLESS))))


@anywhere
@whatever
def test_the_markdown_report_stays_in_its_lines(place, text):
    report = FORMATS["markdown"](place(text))
    assert all(line.isprintable() for line in lines(report))
    assert len(lines(report)) == len(lines(FORMATS["markdown"](place(HARMLESS))))


def structure(markdown):
    """What a reader of Markdown sees besides words: tables, headings, links, raw HTML."""
    found = []
    for block in MarkdownIt("commonmark", {"html": True}).enable("table").parse(markdown):
        if block.type != "inline":
            found.append(block.type)
        for token in block.children or ():
            if token.type == "html_inline" and token.content == "<br>":
                continue
            if token.type not in ("text", "text_special", "softbreak"):
                found.append(token.type)
    return found


@anywhere
@whatever
def test_the_markdown_report_keeps_its_structure(place, text):
    expected = structure(FORMATS["markdown"](place(HARMLESS)))
    assert structure(FORMATS["markdown"](place(text))) == expected


@anywhere
@whatever
def test_the_json_report_is_plain_ascii_that_reads_back(place, text):
    report = FORMATS["json"](place(text))
    assert report.isascii()
    assert not any(ord(character) < 32 and character != "\n" for character in report)
    assert json.loads(report)["target"]


@pytest.mark.parametrize("format", ["text", "markdown"])
@pytest.mark.parametrize("place", [of_details, of_example("details")], ids=["JSON", "a repr"])
def test_huge_details_do_not_make_a_huge_report(place, format):
    assert len(FORMATS[format](place("x" * 60_000))) < 10_000
