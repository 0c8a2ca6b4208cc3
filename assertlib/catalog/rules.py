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
        code: Stable name of the rule, such as ``AL101``.
        severity: Whether a finding fails a check that is not strict.
        title: The rule in one line.
        text: The reason for the rule.
        remedy: What to do about a finding, which ends with it.
        bad, good: An example that breaks the rule, and how to fix it.
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


# Short names, since each rule gives its fields by position.
_ERROR, _WARNING = Severity.ERROR, Severity.WARNING

# Tests check the examples of most rules: `bad` has the finding and `good` has none.
RULES = _rules(
    Rule(
        "AL101",
        _ERROR,
        "An assertion names an invariant that is not in any catalog",
        "The id is misspelled, or the knowledge behind the assertion was never written down.",
        "name an invariant that is in the catalog, or add the missing one",
        'always(ok, "ack follows fsync", invariant="wal.fsync-befor-ack")',
        'always(ok, "ack follows fsync", invariant="wal.fsync-before-ack")',
    ),
    Rule(
        "AL102",
        _ERROR,
        "Two catalog entries share an id",
        "Evidence is kept by id, so two entries would share it.",
        "rename or remove one",
        "[fsync-before-ack]   # in catalog/wal.toml and in extra/wal.toml",
        "[fsync-before-ack]   # in one of them",
    ),
    Rule(
        "AL103",
        _ERROR,
        "Two assertions share a message",
        "The message is the assertion's identity: two sites with the same message hide each other.",
        "give each site a message of its own",
        'always(a > 0, "is positive")\nalways(b > 0, "is positive")',
        'always(a > 0, "a is positive")\nalways(b > 0, "b is positive")',
    ),
    Rule(
        "AL104",
        _ERROR,
        "A message is not a literal string",
        "A message built at run time is unknown until its assertion is hit, so one that is never"
        " reached would be missed.  Put what varies into the details.",
        "write the message as a literal and put what varies into the details;"
        " use @assertlib.wrapper to mark a helper that passes messages on",
        'always(ok, f"key {key} is owned")',
        'always(ok, "key is owned", {"key": key})',
    ),
    Rule(
        "AL105",
        _ERROR,
        "A catalog file is not valid",
        "A key is unknown or missing, or a value has the wrong type.",
        "see `assertlib catalog schema`",
        'kind = "safty"',
        'kind = "safety"',
    ),
    Rule(
        "AL106",
        _ERROR,
        "One message is used for two kinds of assertion",
        "A message identifies one assertion, which cannot claim two things.",
        "give each kind a message of its own",
        'always(ok, "caught up")\nsometimes(ok, "caught up")',
        'always(ok, "never ahead")\nsometimes(ok, "caught up")',
    ),
    Rule(
        "AL107",
        _ERROR,
        "A condition is a constant",
        "sometimes(True) means reachable, and always(False) means unreachable.",
        "use reachable or unreachable, or give a condition that can change",
        'sometimes(True, "victim caught up")',
        'reachable("victim caught up")',
    ),
    Rule(
        "AL108",
        _ERROR,
        "A condition is a function that is not called, or a coroutine that is not awaited",
        "Both are always truthy, so the condition could never be false.",
        "call it or await it; a lambda or a local function without arguments may be passed uncalled",
        'always(self.is_sorted, "log is sorted")',
        'always(self.is_sorted(), "log is sorted")',
    ),
    Rule(
        "AL109",
        _ERROR,
        "A source file cannot be read",
        "Assertions in it would be missed.",
        "fix it, or exclude it from the target",
        "def broken(:",
        "def whole():",
    ),
    Rule(
        "AL110",
        _ERROR,
        "A source path of the target does not exist",
        "Assertions under it would be missed.",
        "fix the target's `source` in the configuration",
        'source = ["srv"]',
        'source = ["src"]',
    ),
    Rule(
        "AL111",
        _ERROR,
        "An assertion function is used as a value",
        "Assertions made through the value cannot be catalogued.",
        "call it directly, or through a function marked @assertlib.wrapper",
        "checks = [always, sometimes]",
        'always(ok, "holds")',
    ),
    Rule(
        "AL112",
        _WARNING,
        "A bound assertion is never called",
        "It is declared but can never be hit.",
        "call it, or remove the declaration",
        'never_back = REV.declare_always("never goes backwards")',
        'never_back = REV.declare_always("never goes backwards")\nnever_back(new > old)',
    ),
    Rule(
        "AL113",
        _WARNING,
        "The expected values of sometimes_each are not literals",
        "Buckets that are never hit can be reported only if all of them are known.",
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
        "A bound assertion is declared in a class body",
        "Calls through an instance are not followed, so the site of the assertion is unknown.",
        "declare it at the top of the module",
        'class Wal:\n    synced = FSYNC.declare_always("ack follows fsync")',
        'synced = FSYNC.declare_always("ack follows fsync")\nclass Wal: ...',
    ),
    Rule(
        "AL117",
        _WARNING,
        "A call looks like an assertion, but its owner is unknown",
        "An Invariant that is a parameter or an item of a container cannot be followed.",
        "bind the Invariant to a name at the top of a module, and call its methods through that name",
        'for each in invariants:\n    each.always(ok, "holds")',
        'REV.always(ok, "holds")',
    ),
    Rule(
        "AL118",
        _ERROR,
        "An assertion cites a state but cannot show that it was reached",
        "A state is meant to be reached, but an always holds whether it was reached or not.",
        "make it a sometimes or reachable, or cite the invariant without the state",
        'Invariant("watch.reliable#victim-catches-up").always(ok, "…")',
        'Invariant("watch.reliable#victim-catches-up").sometimes(caught_up, "…")',
    ),
    Rule(
        "AL119",
        _ERROR,
        "The catalog assigns an invariant to an assertion that could name it itself",
        "An assertion should name its invariant in code, where a change to either is noticed; the catalog"
        " assigns invariants only to what cannot be annotated, such as assertions in other languages.",
        "name the invariant in the code and remove the [[assertion]]",
        '[[assertion]]\nmessage = "ack follows fsync"   # and store/wal.py asserts it',
        'always(ok, "ack follows fsync", invariant="wal.fsync-before-ack")',
    ),
    Rule(
        "AL120",
        _ERROR,
        "Go or Rust source is not read",
        "Assertions in it would be missed.",
        "pip install 'assertlib-sdk[polyglot]', or exclude it from the target",
        'source = ["server"]   # with server/wal.go, and without the extra',
        "pip install 'assertlib-sdk[polyglot]'",
    ),
    Rule(
        "AL121",
        _ERROR,
        "A message is not in Unicode normal form C (NFC)",
        "Unicode can write é as one character, or as e followed by a combining accent.  The two"
        " look alike but are different messages: evidence, reviews and the baseline of one are not found"
        " under the other.  NFC is the form that keyboards produce."
        "  To keep evidence recorded under the other form, run `assertlib catalog rename OLD NEW`.",
        "write it in NFC, which most editors can do",
        'always(ok, "cafe\\u0301 is open")',
        'always(ok, "caf\\u00e9 is open")',
    ),
    Rule(
        "AL122",
        _ERROR,
        "Two different messages look the same",
        "They differ in characters that Unicode calls compatible, such as a space and a"
        " no-break space, or … and three dots.  A report shows no difference, but a catalog entry"
        " for one does not match the other.",
        "write both with the same characters, or change a word in one",
        'always(a, "log is\\u00a0sorted")\nsometimes(b, "log is sorted")',
        'always(a, "log is sorted")\nsometimes(b, "log gets sorted")',
    ),
    Rule(
        "AL123",
        _ERROR,
        "Two invariants have the same id elsewhere",
        "The id would be ambiguous in the other document or tool.",
        "correct one `external_id`, or merge the two invariants",
        '[first]\nexternal_id = "INV-3"\n[second]\nexternal_id = "INV-3"',
        '[first]\nexternal_id = "INV-3"\n[second]\nexternal_id = "INV-4"',
    ),
    Rule(
        "AL201",
        _ERROR,
        "No assertion names an active invariant",
        "It is written down, but a violation would not be detected.",
        'add an assertion that names it, or set `status = "draft"`',
        "[fsync-before-ack]   # and no code names wal.fsync-before-ack",
        'FSYNC = Invariant("wal.fsync-before-ack")',
    ),
    Rule(
        "AL202",
        _ERROR,
        "An invariant has no assertion of a kind it expects",
        "An always alone may hold because the interesting state was never reached.",
        "add an assertion of that kind, or remove it from `expects`",
        'expects = ["always", "sometimes"]   # and only an always in the code',
        'sometimes(victim.caught_up, "a victim catches up", invariant="watch.reliable")',
    ),
    Rule(
        "AL203",
        _WARNING,
        "No assertion cites a clause",
        "A promise that nothing checks can be broken unnoticed, even if the rest of the statement"
        " is asserted.",
        "cite it, as in area.name#clause, or drop the clause",
        '[fsync-before-ack.clauses]\ndir-entry = "…"',
        'DIR = Invariant("wal.fsync-before-ack#dir-entry")',
    ),
    Rule(
        "AL204",
        _ERROR,
        "An assertion names a retired invariant",
        "It enforces a property that no longer has to hold.",
        "name the invariant that replaced it, or remove the assertion",
        'always(ok, "…", invariant="kv.old")   # status = "retired"',
        'always(ok, "…", invariant="kv.new")',
    ),
    Rule(
        "AL205",
        _WARNING,
        "An assertion names no invariant",
        "Its failure message cannot explain what it protects and why.",
        "name one with invariant=, or make it a method of an Invariant",
        'always(ok, "ack follows fsync")',
        'always(ok, "ack follows fsync", invariant="wal.fsync-before-ack")',
    ),
    Rule(
        "AL301",
        _WARNING,
        "A link is suspect: one of its ends has changed since the review",
        "An assertion that was loosened still names the invariant it no longer protects, and a"
        " statement that was rewritten may promise something that no assertion checks.  Formatting, moving"
        " code and renaming local variables do not count as changes.",
        "compare the two ends with `assertlib catalog review ID`, and acknowledge the change with --reason",
        "always(synced > acked, …)   # was: synced >= acked",
        "assertlib catalog review wal.fsync-before-ack"
        ' --reason "an index equal to synced is not on disk yet"',
    ),
    Rule(
        "AL302",
        _WARNING,
        "A link has never been reviewed",
        "The assertion and the statement must be read side by side at least once.",
        "read both, and run `assertlib catalog review --new`",
        'always(ok, "ack follows fsync", invariant="wal.fsync-before-ack")   # not in review.lock',
        "assertlib catalog review --new",
    ),
    Rule(
        "AL303",
        _ERROR,
        "An invariant was reviewed at a later revision than the one in the catalog",
        "A merge has restored an old statement, or the lock comes from elsewhere.",
        "bring the catalog's entry up to date, or review the link again",
        "revision = 2   # and review.lock says 3",
        "revision = 3",
    ),
    Rule(
        "AL304",
        _WARNING,
        "An assertion that was reviewed is gone",
        "Its invariant is less well protected, and nobody has confirmed that this is intended.",
        "restore it, or acknowledge its removal with `assertlib catalog review ID --reason …`;"
        " if it has a new name, run `assertlib catalog rename OLD NEW`",
        "# always(synced >= acked, …) was removed with the function it was in",
        'assertlib catalog review wal.fsync-before-ack --reason "the batch checks it now"',
    ),
    Rule(
        "AL305",
        _WARNING,
        "An assertion has a new message but is otherwise unchanged",
        "The message is its identity: evidence, witnesses and the baseline stay with the old one.",
        "record the rename with `assertlib catalog rename OLD NEW`",
        'always(synced >= acked, "acks follow fsync")   # was: "ack follows fsync"',
        'assertlib catalog rename "ack follows fsync" "acks follow fsync"',
    ),
    Rule(
        "AL306",
        _ERROR,
        "An assertion reuses the former message of a renamed assertion",
        "Evidence recorded under that message counts for the renamed assertion, so the evidence of"
        " the two would be mixed.",
        "give it a message of its own, or undo the rename with `assertlib catalog rename`",
        '"ack follows fsync" = "acks follow fsync"   # and the code says "ack follows fsync"',
        'always(ok, "an ack of a batch follows its fsync")',
    ),
    Rule(
        "AL307",
        _WARNING,
        "An invariant that was reviewed is no longer in any catalog",
        "Ids are never reused, and knowledge is not thrown away: an invariant that no longer holds"
        " is retired, which shows the next maintainer that it once did.",
        'restore it with status = "retired", or give the reason for its removal with'
        " `assertlib catalog review ID --reason …`",
        "# [fsync-before-ack] was removed, together with its assertions",
        '[fsync-before-ack]\nstatus = "retired"\nreplaced_by = "wal.batch-before-ack"',
    ),
    Rule(
        "AL401",
        _WARNING,
        "An active invariant has no source or no `debug` text",
        "What gets lost when a maintainer leaves is where the knowledge came from and where to start"
        " debugging.",
        "add [[…source]] and `debug`",
        '[fsync-before-ack]\nstatement = "…"',
        '[[fsync-before-ack.source]]\nref = "…"',
    ),
    Rule(
        "AL402",
        _ERROR,
        "An incident names a seeded defect or test that does not exist",
        "A reproduction says more about a bug than any description, as long as it can be run.",
        "name a seeded defect of a target, or a test together with its file; prose belongs in `how`",
        'reproduce = ["ack-befor-wal"]',
        'reproduce = ["ack-before-wal", "tests/test_wal.py::test_a_torn_tail_is_cut"]',
    ),
    Rule(
        "AL403",
        _WARNING,
        "An invariant still contains placeholder text",
        "`assertlib init` and `assertlib catalog new` write placeholder text, which is not"
        " knowledge but looks like it in a report.",
        "replace the text, or remove the draft",
        'why = "What breaks, and for whom, if it does not hold."',
        'why = "Callers act on the acknowledgement."',
    ),
    Rule(
        "AL601",
        _WARNING,
        "No active person knows an active invariant",
        "Nobody who contributed to its statement, its assertions or the code around them is active in the"
        " repository, so a reviewer has nobody to ask whether a change keeps it."
        "  Checked if `[tool.assertlib.knowledge]` has `check = true`.",
        "let somebody read it, its code and its tests, and record that with"
        " `assertlib catalog review ID --code --reason ...`",
        "# written by people who left two years ago",
        "# reviewed by somebody who is here",
    ),
    Rule(
        "AL602",
        _WARNING,
        "Nothing reproduces a confirmed incident",
        "The bug can come back unnoticed: no seeded defect and no test of this project breaks the invariant in"
        " the same way.  Checked if `[tool.assertlib.knowledge]` has `check = true`.",
        "write a seeded defect or a test, and name it in `reproduce`",
        'ref = "etcd-io/etcd#14370"',
        'ref = "etcd-io/etcd#14370"\nreproduce = ["ack-before-wal"]',
    ),
    Rule(
        "AL603",
        _ERROR,
        "Code that enforces an invariant has changed without a review",
        "The assertions still state the promise, but the code around them is no longer the code that"
        " was reviewed.  Checked by `assertlib check --diff` only.",
        "compare the change with the promise, then record your review with"
        " `assertlib catalog review ID --code --reason ...`",
        "def sync(self):   # changed, and review.lock is not",
        'assertlib catalog review wal.fsync-before-ack --code --reason "sync is only renamed"',
    ),
)
