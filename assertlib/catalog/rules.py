"""
The rules behind findings, as ``assertlib explain`` prints them.

Codes are stable: AL1xx is about what can be catalogued at all, AL2xx about the
agreement of code and catalog, AL3xx about reviews of their links, AL4xx about a catalog's own
quality.
"""

from __future__ import annotations

from dataclasses import dataclass

from .findings import Severity


@dataclass(frozen=True)
class Rule:
    """
    A kind of finding.

    Attributes:
        title: The rule in one line.
        text: Why it is one.
        remedy: What to do, as it stands at the end of each finding.
        bad, good: An example of each.
    """

    code: str
    severity: Severity
    title: str
    text: str
    remedy: str
    bad: str
    good: str


def _rules(*rules: Rule) -> dict[str, Rule]:
    return {rule.code: rule for rule in rules}


_ERROR, _WARNING = Severity.ERROR, Severity.WARNING

RULES = _rules(
    Rule(
        "AL101",
        _ERROR,
        "An assertion names an invariant that is in no catalog",
        "The id is a typing error, or the knowledge behind the assertion was never written down.",
        "name an invariant of the catalog, or add it there",
        'always(ok, "ack follows fsync", invariant="wal.fsync-befor-ack")',
        'always(ok, "ack follows fsync", invariant="wal.fsync-before-ack")',
    ),
    Rule(
        "AL102",
        _ERROR,
        "Two catalog entries have one id",
        "Evidence is kept by id, so two entries would share it.",
        "rename or remove one",
        "[fsync-before-ack]   # in catalog/wal.toml and in extra/wal.toml",
        "[fsync-before-ack]   # in one of them",
    ),
    Rule(
        "AL103",
        _ERROR,
        "Two assertions have one message",
        "The message is the assertion's identity: two sites under one name hide each other.",
        "give each site a message of its own",
        'always(a > 0, "is positive")\nalways(b > 0, "is positive")',
        'always(a > 0, "a is positive")\nalways(b > 0, "b is positive")',
    ),
    Rule(
        "AL104",
        _ERROR,
        "A message is not a literal string",
        "A name built at run time cannot be known before it is hit, so an assertion that is"
        " never reached would be missed.  Put what varies into the details.",
        "write the message as a literal and put what varies into the details;"
        " mark a helper that passes messages on with @assertlib.wrapper",
        'always(ok, f"key {key} is owned")',
        'always(ok, "key is owned", {"key": key})',
    ),
    Rule(
        "AL105",
        _ERROR,
        "A catalog file is wrong",
        "A key is unknown or missing, or a value has the wrong type.",
        "see `assertlib catalog schema`",
        'kind = "safty"',
        'kind = "safety"',
    ),
    Rule(
        "AL106",
        _ERROR,
        "One message has two kinds",
        "A message is one assertion; it cannot claim two things.",
        "give each kind a message of its own",
        'always(ok, "caught up")\nsometimes(ok, "caught up")',
        'always(ok, "never ahead")\nsometimes(ok, "caught up")',
    ),
    Rule(
        "AL107",
        _ERROR,
        "A condition is a constant",
        "sometimes(True) is reachable, always(False) is unreachable; say so, or assert something.",
        "use reachable or unreachable, or give a condition that can change",
        'sometimes(True, "victim caught up")',
        'reachable("victim caught up")',
    ),
    Rule(
        "AL108",
        _ERROR,
        "A condition is a function that is not called, or a coroutine that is not awaited",
        "Either is always truthy and would pass for ever.",
        "call it or await it; a lambda or a local function without arguments may stand uncalled",
        'always(self.is_sorted, "log is sorted")',
        'always(self.is_sorted(), "log is sorted")',
    ),
    Rule(
        "AL109",
        _ERROR,
        "A source file cannot be read",
        "Assertions in it would be missed.",
        "mend it, or exclude it from the target",
        "def broken(:",
        "def whole():",
    ),
    Rule(
        "AL110",
        _ERROR,
        "A source path of the target does not exist",
        "Assertions under it would be missed.",
        "mend `source` of the target in pyproject.toml",
        'source = ["srv"]',
        'source = ["src"]',
    ),
    Rule(
        "AL111",
        _ERROR,
        "An assertion function is used as a value",
        "What is asserted through it cannot be catalogued.",
        "call it where it stands, or through a function marked @assertlib.wrapper",
        "checks = [always, sometimes]",
        'always(ok, "holds")',
    ),
    Rule(
        "AL112",
        _WARNING,
        "A bound assertion is never called",
        "It was declared and can never be hit.",
        "call it, or remove the declaration",
        'never_back = REV.declare_always("never goes back")',
        'never_back = REV.declare_always("never goes back")\nnever_back(new > old)',
    ),
    Rule(
        "AL113",
        _WARNING,
        "The expected values of sometimes_each are not literal",
        "Buckets that nobody hit cannot be shown when nobody knows which there are.",
        "give a literal tuple, a module constant, range(…) or an Enum class as `expected`",
        'sometimes_each(role, "role", expected=load_roles())',
        'sometimes_each(role, "role", expected=("leader", "follower"))',
    ),
    Rule(
        "AL114",
        _ERROR,
        "The id of an invariant is not a literal string",
        "The link between code and catalog is read from the source.",
        "write the id as a literal",
        "REV = Invariant(name)",
        'REV = Invariant("kv.revision-monotonic")',
    ),
    Rule(
        "AL115",
        _ERROR,
        "An assertion cites a clause or state that its invariant does not have",
        "The promise it protects, or the state it looks for, is not written down.",
        "cite a clause or state of the invariant, or add it to the catalog",
        'Invariant("wal.fsync-before-ack#dir")',
        'Invariant("wal.fsync-before-ack#dir-entry")',
    ),
    Rule(
        "AL116",
        _ERROR,
        "A bound assertion stands in a class body",
        "Calls through an instance are not seen, so nothing tells where it is evaluated.",
        "declare it at the top of the module",
        'class Wal:\n    synced = FSYNC.declare_always("ack follows fsync")',
        'synced = FSYNC.declare_always("ack follows fsync")\nclass Wal: ...',
    ),
    Rule(
        "AL117",
        _WARNING,
        "A call looks like an assertion, but nothing tells what its owner is",
        "An Invariant that comes as a parameter or out of a container cannot be followed.",
        "give the Invariant a name at the top of a module and call that",
        'for each in invariants:\n    each.always(ok, "holds")',
        'REV.always(ok, "holds")',
    ),
    Rule(
        "AL118",
        _ERROR,
        "An assertion that cannot show a state cites one",
        "A state is there to be seen; an always says nothing about whether it was.",
        "make it a sometimes or reachable, or cite the invariant without the state",
        'Invariant("watch.reliable#victim-catches-up").always(ok, "…")',
        'Invariant("watch.reliable#victim-catches-up").sometimes(caught_up, "…")',
    ),
    Rule(
        "AL119",
        _ERROR,
        "The catalog assigns an assertion that could name its invariant itself",
        "Code names what it protects, so that whoever reads or moves it sees both; the catalog"
        " assigns only what cannot be annotated, such as assertions in other languages.",
        "name the invariant in the code and remove the [[assertion]]",
        '[[assertion]]\nmessage = "ack follows fsync"   # and store/wal.py asserts it',
        'always(ok, "ack follows fsync", invariant="wal.fsync-before-ack")',
    ),
    Rule(
        "AL120",
        _ERROR,
        "Source in Go or Rust is not read",
        "Assertions in it would be missed.",
        "pip install 'assertlib-sdk[polyglot]', or exclude it from the target",
        'source = ["server"]   # with server/wal.go, and without the extra',
        "pip install 'assertlib-sdk[polyglot]'",
    ),
    Rule(
        "AL121",
        _ERROR,
        "A message is not in Unicode normal form C (NFC)",
        "Unicode can write é as one character or as e with an accent behind it.  They look alike,"
        " and are two messages: evidence, reviews and the baseline of one are not found under the"
        " other.  One form for all messages leaves no doubt, and NFC is what keyboards produce."
        "  To keep evidence of the other form, run `assertlib catalog rename OLD NEW`.",
        "write it in NFC, as most editors can",
        'always(ok, "cafe\\u0301 is open")',
        'always(ok, "caf\\u00e9 is open")',
    ),
    Rule(
        "AL122",
        _ERROR,
        "Two different messages look the same",
        "They differ in characters that Unicode calls compatible, such as a space and a"
        " no-break space, or … and three dots.  A report shows no difference, and a catalog entry"
        " for one does not match the other.",
        "write both with the same characters, or change a word of one",
        'always(a, "log is\\u00a0sorted")\nsometimes(b, "log is sorted")',
        'always(a, "log is sorted")\nsometimes(b, "log gets sorted")',
    ),
    Rule(
        "AL201",
        _ERROR,
        "No assertion names an active invariant",
        "It is written down, but nothing would notice when it breaks.",
        'add an assertion that names it, or make it `status = "draft"`',
        "[fsync-before-ack]   # and no code names wal.fsync-before-ack",
        'FSYNC = Invariant("wal.fsync-before-ack")',
    ),
    Rule(
        "AL202",
        _ERROR,
        "An invariant has no assertion of a kind it expects",
        "An always alone may hold because the interesting state never came up.",
        "add an assertion of that kind, or take it out of `expects`",
        'expects = ["always", "sometimes"]   # and only an always in the code',
        'sometimes(victim.caught_up, "a victim catches up", invariant="watch.reliable")',
    ),
    Rule(
        "AL203",
        _WARNING,
        "Nothing in the code cites a clause",
        "A statement of several promises is only as good as the one nobody checks.",
        "cite it, as in area.name#clause, or drop the clause",
        '[fsync-before-ack.clauses]\ndir-entry = "…"',
        'DIR = Invariant("wal.fsync-before-ack#dir-entry")',
    ),
    Rule(
        "AL204",
        _ERROR,
        "An assertion names a retired invariant",
        "It enforces what no longer needs to hold.",
        "name the invariant that replaced it, or remove the assertion",
        'always(ok, "…", invariant="kv.old")   # status = "retired"',
        'always(ok, "…", invariant="kv.new")',
    ),
    Rule(
        "AL205",
        _WARNING,
        "An assertion names no invariant",
        "When it fails, nobody is told what it protects and why.",
        "name one with invariant=, or make it a method of an Invariant",
        'always(ok, "ack follows fsync")',
        'always(ok, "ack follows fsync", invariant="wal.fsync-before-ack")',
    ),
    Rule(
        "AL301",
        _WARNING,
        "A link is suspect: one of its ends has changed since somebody looked at both",
        "An assertion that was loosened still names the invariant it no longer protects, and a"
        " statement that was rewritten may say what no assertion checks.  Formatting, moving and"
        " renaming local variables are no changes.",
        "look at both ends with `assertlib catalog review ID`, and acknowledge with --reason",
        "always(synced > acked, …)   # was: synced >= acked",
        'assertlib catalog review wal.fsync-before-ack --reason "an equal index is not synced yet"',
    ),
    Rule(
        "AL302",
        _WARNING,
        "A link has never been reviewed",
        "Somebody should have read assertion and statement side by side, once.",
        "read both, and run `assertlib catalog review --new`",
        'always(ok, "ack follows fsync", invariant="wal.fsync-before-ack")   # not in review.lock',
        "assertlib catalog review --new",
    ),
    Rule(
        "AL303",
        _ERROR,
        "The lock was reviewed against a later revision than the catalog has",
        "A merge has brought back an old statement, or the lock comes from elsewhere.",
        "bring the catalog's entry up to date, or review the link again",
        "revision = 2   # and review.lock says 3",
        "revision = 3",
    ),
    Rule(
        "AL304",
        _WARNING,
        "An assertion that was reviewed is gone",
        "What it protected is protected less, and nobody has said that this is meant.",
        "bring it back, or acknowledge with `assertlib catalog review ID --reason …`;"
        " if it has a new name, `assertlib catalog rename OLD NEW`",
        "# always(synced >= acked, …) was removed with the function it stood in",
        'assertlib catalog review wal.fsync-before-ack --reason "the batch checks it now"',
    ),
    Rule(
        "AL305",
        _WARNING,
        "An assertion has a new message and nothing else",
        "The message is its identity: evidence, witnesses and the baseline stay with the old one.",
        "tell so with `assertlib catalog rename OLD NEW`",
        'always(synced >= acked, "acks follow fsync")   # was: "ack follows fsync"',
        'assertlib catalog rename "ack follows fsync" "acks follow fsync"',
    ),
    Rule(
        "AL306",
        _ERROR,
        "An assertion has a message that another one gave up",
        "Evidence of the old one goes to its new name; that of two assertions would be mixed.",
        "give it a message of its own, or rename back with `assertlib catalog rename`",
        '"ack follows fsync" = "acks follow fsync"   # and the code says "ack follows fsync"',
        'always(ok, "an ack of a batch follows its fsync")',
    ),
    Rule(
        "AL307",
        _WARNING,
        "An invariant that was reviewed is in no catalog any more",
        "An id is never reused and knowledge is not thrown away: what no longer holds is retired,"
        " so that the next person finds out that it once did.",
        'bring it back with status = "retired", or say why it is gone with'
        " `assertlib catalog review ID --reason …`",
        "# [fsync-before-ack] was removed, together with its assertions",
        '[fsync-before-ack]\nstatus = "retired"\nreplaced_by = "wal.batch-before-ack"',
    ),
    Rule(
        "AL401",
        _WARNING,
        "An active invariant has no source, or says nothing about debugging",
        "Where the knowledge comes from, and what to look at, is what leaves with a maintainer.",
        "add [[…source]] and `debug`",
        '[fsync-before-ack]\nstatement = "…"',
        '[[fsync-before-ack.source]]\nref = "…"',
    ),
    Rule(
        "AL402",
        _ERROR,
        "An incident names a seeded defect or test that is not there",
        "What showed the bug once is the best knowledge of all, while it still does.",
        "name a seeded defect of a target, or a test by its file, and put words into `how`",
        'reproduce = ["ack-befor-wal"]',
        'reproduce = ["ack-before-wal", "tests/test_wal.py::test_a_torn_tail_is_cut"]',
    ),
)
