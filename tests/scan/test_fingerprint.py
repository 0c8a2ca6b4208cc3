"""Fingerprints: what leaves them alone, and what changes them."""

from __future__ import annotations

import ast
import re
from textwrap import dedent, indent

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from .reading import read

HEAD = "from assertlib import *\nfrom assertlib import Invariant\n"


def of(text: str, message: str = "m") -> str:
    """The fingerprint of the assertion 'm' of a text."""
    scan = read(HEAD + dedent(text))
    (site,) = (site for site in scan.sites if site.message == message)
    return site.fingerprint


APPLY = """
    def apply(self, revision, key):
        old = self.revisions[key]
        new = max(revision, self.lowest)
        always(new > old + 1 and key not in self.gone, "m")
"""

SAME = {
    "formatting": """
        def apply(self, revision, key):
            old = (self . revisions [ key ])
            new = max(
                revision,
                self.lowest,
            )
            always(
                (
                    (new) > (old + 0x1)   # why
                    and key not in self.gone
                ),
                'm',
            )
    """,
    "other names of parameters": """
        def apply(this, rev, name):
            old = this.revisions[name]
            new = max(rev, this.lowest)
            always(new > old + 1 and name not in this.gone, "m")
    """,
    "other names of locals": """
        def apply(self, revision, key):
            before = self.revisions[key]
            after = max(revision, self.lowest)
            always(after > before + 1 and key not in self.gone, "m")
    """,
    "names that are swapped throughout": """
        def apply(self, revision, key):
            new = self.revisions[key]
            old = max(revision, self.lowest)
            always(old > new + 1 and key not in self.gone, "m")
    """,
    "another name of the function": """
        def restore(self, revision, key):
            old = self.revisions[key]
            new = max(revision, self.lowest)
            always(new > old + 1 and key not in self.gone, "m")
    """,
    "comments, a docstring and statements before": '''
        import os

        def other(new, old, key): ...

        def apply(self, revision, key):
            """Apply."""
            print(os.getpid())
            total = 7
            for each in self.watchers:
                each(total)
            # the old one
            old = self.revisions[key]
            new = max(revision, self.lowest)
            always(new > old + 1 and key not in self.gone, "m")
    ''',
    "annotations": """
        def apply(self, revision: int, key: bytes) -> None:
            old: int = self.revisions[key]
            new: int = max(revision, self.lowest)
            always(new > old + 1 and key not in self.gone, "m")
    """,
    "a comprehension before that has a variable of the same name": """
        def apply(self, revision, key):
            print([old for old in self.watchers])
            old = self.revisions[key]
            new = max(revision, self.lowest)
            always(new > old + 1 and key not in self.gone, "m")
    """,
    "a class around it": """
        class Store:
            def other(self): ...
            def apply(self, revision, key):
                old = self.revisions[key]
                new = max(revision, self.lowest)
                always(new > old + 1 and key not in self.gone, "m")
    """,
    "a branch around it": """
        def apply(self, revision, key):
            old = self.revisions[key]
            new = max(revision, self.lowest)
            if self.checks:
                always(new > old + 1 and key not in self.gone, "m", {"old": old})
    """,
    "an async function": """
        async def apply(self, revision, key):
            old = self.revisions[key]
            new = max(revision, self.lowest)
            always(new > old + 1 and key not in self.gone, "m")
    """,
    "details and an invariant": """
        def apply(self, revision, key):
            old = self.revisions[key]
            new = max(revision, self.lowest)
            always(new > old + 1 and key not in self.gone, "m", {"new": new}, invariant="kv.x")
    """,
    "keyword arguments": """
        def apply(self, revision, key):
            old = self.revisions[key]
            new = max(revision, self.lowest)
            always(message="m", condition=new > old + 1 and key not in self.gone)
    """,
    "an Invariant's method": """
        def apply(self, revision, key):
            old = self.revisions[key]
            new = max(revision, self.lowest)
            Invariant("kv.x").always(new > old + 1 and key not in self.gone, "m")
    """,
    "a lambda": """
        def apply(self, revision, key):
            old = self.revisions[key]
            new = max(revision, self.lowest)
            always(lambda: new > old + 1 and key not in self.gone, "m")
    """,
    "a variable for the condition": """
        def apply(self, revision, key):
            old = self.revisions[key]
            new = max(revision, self.lowest)
            ok = new > old + 1 and key not in self.gone
            always(ok, "m")
    """,
    "a variable for half of the condition": """
        def apply(self, revision, key):
            old = self.revisions[key]
            new = max(revision, self.lowest)
            grows = new > old + 1
            always(grows and key not in self.gone, "m")
    """,
    "a variable for a variable": """
        def apply(self, revision, key):
            old = self.revisions[key]
            new = max(revision, self.lowest)
            grows = new > old + 1 and key not in self.gone
            ok = grows
            always(ok, "m")
    """,
}


@pytest.mark.parametrize("text", SAME.values(), ids=SAME.keys())
def test_what_does_not_change_the_meaning_leaves_the_fingerprint_alone(text):
    assert of(text) == of(APPLY)


def test_a_round_trip_through_the_parser_leaves_the_fingerprint_alone():
    assert of(ast.unparse(ast.parse(dedent(APPLY)))) == of(APPLY)


def test_moving_the_function_within_the_file_or_to_another_leaves_it_alone():
    def moved(before, after):
        text = HEAD + before + dedent(APPLY) + after
        return {site.fingerprint for site in read("import os", other=text).sites}

    other = "\ndef f(new, old): return new\n"
    assert moved("", other) == moved(other, "") == moved("", "") == {of(APPLY)}


NEW_OLD = "new > old + 1 and key not in self.gone"
CHANGED = {
    "swapped operands": "old > new + 1 and key not in self.gone",
    "another operator": "new >= old + 1 and key not in self.gone",
    "a negated operator": "new > old + 1 and key in self.gone",
    "another constant": "new > old + 2 and key not in self.gone",
    "a constant of another type": "new > old + 1.0 and key not in self.gone",
    "another attribute": "new > old + 1 and key not in self.here",
    "a not": "not (new > old + 1 and key not in self.gone)",
    "an inner not": "not new > old + 1 and key not in self.gone",
    "or for and": "new > old + 1 or key not in self.gone",
    "another order": "key not in self.gone and new > old + 1",
    "a parameter for a local": "revision > old + 1 and key not in self.gone",
    "another parameter": "new > old + 1 and revision not in self.gone",
    "another local": "new > new + 1 and key not in self.gone",
    "a part less": "new > old + 1",
    "a part more": "new > old + 1 and key not in self.gone and key",
    "another object": "new > old + 1 and key not in key.gone",
    "a global": "new > old + 1 and KEY not in self.gone",
    "a minus": "new > old - 1 and key not in self.gone",
    "a call": "new > len(old) + 1 and key not in self.gone",
}


@pytest.mark.parametrize("condition", CHANGED.values(), ids=CHANGED.keys())
def test_what_changes_the_meaning_changes_the_fingerprint(condition):
    changed = APPLY.replace(NEW_OLD, condition)
    assert changed != APPLY
    assert of(changed) != of(APPLY)


@pytest.mark.parametrize("condition", CHANGED.values(), ids=CHANGED.keys())
def test_a_variable_for_the_condition_is_followed_to_what_it_was_assigned(condition):
    named = APPLY.replace("always(" + NEW_OLD, f"ok = {condition}\n        always(ok")
    assert of(named) == of(APPLY.replace(NEW_OLD, condition))
    assert of(named) != of(APPLY)


TWINS = {
    "the same function of two parameters": ("left = len(one)", "right = len(two)"),
    "the two items of a pair": ("left, right = pair()", ""),
    "two attributes": ("left = self.a", "right = self.b"),
    "two loops": ("for left in one: ...", "for right in two: ..."),
    "items at different depths": ("left, (right, other) = pair()", ""),
}
ALIKE = {
    "two calls": ("left = read()", "right = read()"),
    "one constant": ("left = 0", "right = 0"),
    "one loop": ("for left in one: ...", "for right in one: ..."),
}


@pytest.mark.parametrize("bindings", TWINS.values(), ids=TWINS.keys())
def test_two_locals_are_never_taken_for_each_other(bindings):
    first, second = bindings
    text = f"def f(self, one, two):\n    {first}\n    {second}\n    always({{}} > 0, 'm')"
    assert of(text.format("left")) != of(text.format("right"))


@pytest.mark.parametrize("bindings", ALIKE.values(), ids=ALIKE.keys())
def test_two_locals_that_are_bound_alike_are_never_taken_for_each_other(bindings):
    first, second = bindings
    text = f"def f(self, one, two):\n    {first}\n    {second}\n    always({{}} > 0, 'm')"
    assert of(text.format("left")) != of(text.format("right"))


@pytest.mark.parametrize(
    "bindings", [*TWINS.values(), *ALIKE.values()], ids=[*TWINS.keys(), *ALIKE.keys()]
)
def test_two_locals_cannot_change_places(bindings):
    first, second = bindings
    text = f"def f(self, one, two):\n    {first}\n    {second}\n    always({{}} > {{}}, 'm')"
    assert of(text.format("left", "right")) != of(text.format("right", "left"))


def test_two_parameters_are_never_taken_for_each_other():
    text = "def f(one, two, *, three=1, **four):\n    always({} > 0, 'm')"
    assert len({of(text.format(name)) for name in ("one", "two", "three", "four")}) == 4


def test_a_parameter_and_one_of_an_outer_function_cannot_change_places():
    text = "def f(outer):\n    def g(inner):\n        always({} > {}, 'm')"
    assert of(text.format("outer", "inner")) != of(text.format("inner", "outer"))


def test_a_local_and_one_of_an_outer_function_cannot_change_places():
    text = (
        "def f():\n    outer = read()\n    def g():\n        inner = read()\n"
        "        always({} > {}, 'm')"
    )
    assert of(text.format("outer", "inner")) != of(text.format("inner", "outer"))


INNER_NAMES = [
    "all({0} > 0 for {0} in values)",
    "all([{0} > limit for {0} in values if {0}])",
    "not {{{0} for {0} in values}}",
    "not {{{0}: 1 for {0} in values}}",
    "max(values, key=lambda {0}: {0}.revision) > limit",
    "lambda: all({0} > 0 for {0} in values)",
    "lambda: max(values, key=lambda {0}: {0}.revision) > limit",
    "any(({0} := value) > limit for value in values)",
]


@pytest.mark.parametrize("condition", INNER_NAMES)
def test_names_inside_the_condition_may_be_renamed(condition):
    text = "def f(values, limit):\n    always({}, 'm')"
    assert of(text.format(condition.format("each"))) == of(text.format(condition.format("item")))


@pytest.mark.parametrize("condition", INNER_NAMES[:5])
def test_names_inside_the_condition_may_be_renamed_outside_of_functions(condition):
    assert of(f"always({condition.format('each')}, 'm')") == of(
        f"always({condition.format('item')}, 'm')"
    )


def test_names_of_the_module_count():
    assert of("always(FIRST > 0, 'm')") != of("always(SECOND > 0, 'm')")


def test_the_kind_counts():
    kinds = ("always", "sometimes", "always_or_unreachable", "sometimes_both")
    assert len({of(f"{kind}(a > 0, 'm')") for kind in kinds}) == len(kinds)


def test_the_comparison_counts():
    kinds = [f"always_{name}_than" for name in ("greater", "less")]
    kinds += [f"{kind}_or_equal_to" for kind in kinds]
    assert len({of(f"{kind}(a, b, 'm')") for kind in kinds}) == len(kinds)


def test_the_operands_of_a_comparison_count():
    assert of("always_greater_than(a, b, 'm')") != of("always_greater_than(b, a, 'm')")


def test_keywords_for_operands_leave_it_alone():
    assert of("always_greater_than(a, b, 'm')") == of(
        "always_greater_than(right=b, message='m', left=a)"
    )


def test_the_antecedent_and_the_consequent_count():
    texts = [
        "always_if(a, lambda: b, 'm')",
        "always_if(b, lambda: a, 'm')",
        "always_if(a, lambda: not b, 'm')",
    ]
    assert len({of(text) for text in texts}) == 3


def test_the_propositions_count():
    one = of("always_some({'a': a, 'b': b}, 'm')")
    assert one != of("always_some({'a': a}, 'm')")
    assert one != of("always_some({'a': b, 'b': a}, 'm')")


def test_the_condition_of_a_bound_assertion_counts():
    text = "check = Invariant('kv.x').declare_always('m')\ndef f(a, b):\n    check({})"
    assert of(text.format("a > b")) == of(text.format("condition=(a > b)"))
    assert of(text.format("a > b")) != of(text.format("b > a"))


def test_the_value_of_sometimes_each_counts_and_each_bucket_is_another():
    def buckets(value):
        scan = read(HEAD + f"sometimes_each({value}, 'm', expected=('x', 'y'))")
        return [site.fingerprint for site in scan.sites]

    assert len(set(buckets("a.role"))) == 3
    assert set(buckets("a.role")).isdisjoint(buckets("a.state"))


@pytest.mark.parametrize("body", ["ok", "not ok", "ok and self.ready", "ok > 0"])
def test_a_wrapper_follows_the_condition_of_its_caller(body):
    text = f"""
        @wrapper
        def check(self, ok, message):
            always({body}, message)
        def f(self, a, b):
            check(self, {{}}, "m")
    """
    text = "from assertlib import wrapper\n" + dedent(text)
    renamed = text.replace("self, a, b", "self, b, a").format("b > a")
    assert of(text.format("a > b")) == of(renamed)
    assert of(text.format("a > b")) != of(text.format("a >= b"))
    assert of(text.format("a > b")) != of(text.format("b > a"))


def test_a_wrapper_counts_for_what_it_does_with_the_condition():
    text = dedent("""
        from assertlib import wrapper
        @wrapper
        def check(ok, message):
            always({}, message)
        def f(a):
            check(a, "m")
    """)
    assert of(text.format("ok")) != of(text.format("not ok"))


# -- helpers -----------------------------------------------------------------

HELPERS = """
    class Log:
        def is_sorted(self):
            values = self.values
            pairs = zip(values, values[1:])
            return all(one <= other for one, other in pairs)

        def check(self):
            always(self.is_sorted(), "m")

    def fits(value, limit=3):
        return value < limit

    def check(value):
        always(fits(value), "fits")

    def deep(value):
        return fits(value)

    def check_deep(value):
        always(not deep(value), "deep")
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("one <= other for", "one < other for"),
        ("all(one", "any(one"),
        ("values[1:]", "values[2:]"),
        ("values = self.values", "values = self.others"),
        ("zip(values, values[1:])", "zip(values[1:], values)"),
    ],
)
def test_a_method_that_the_condition_calls_counts(old, new):
    assert of(HELPERS.replace(old, new)) != of(HELPERS)


@pytest.mark.parametrize("message", ["fits", "deep"])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("value < limit", "value <= limit"),
        ("value < limit", "limit < value"),
        ("return value < limit", "value += 1\n        return value < limit"),
        ("limit=3", "limit=4"),
    ],
)
def test_a_function_that_the_condition_calls_counts(old, new, message):
    assert of(HELPERS.replace(old, new), message) != of(HELPERS, message)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("def is_sorted(self):", 'def is_sorted(self):\n            """Tell."""'),
        ("def is_sorted(self):", "def is_sorted(self):  # tells"),
        ("def is_sorted(self):", "def is_sorted(me):"),
        ("pairs = zip", "\n            pairs = zip"),
        ("one, other in pairs", "(one, other) in (pairs)"),
    ],
)
def test_what_does_not_change_a_helper_leaves_the_fingerprint_alone(old, new):
    changed = HELPERS.replace(old, new)
    if "me" in new:
        changed = changed.replace("self.values", "me.values")
    assert changed != HELPERS
    assert of(changed) == of(HELPERS)


@pytest.mark.parametrize("name", ["values", "pairs", "one", "other"])
def test_the_locals_of_a_helper_may_be_renamed(name):
    head, tail = HELPERS.split("def check(self)", 1)
    renamed = re.sub(rf"(?<!\.)\b{name}\b", "renamed", head) + "def check(self)" + tail
    assert of(renamed) == of(HELPERS)


@pytest.mark.parametrize(
    "body",
    [
        "return sorted(value, key=lambda {0}: {0}.revision)",
        "def {0}(): return value\n        return {0}()",
        "try: return value.ready\n        except OSError as {0}: return {0} is None",
        "import os as {0}\n        return {0}.getpid()",
        "for {0} in value:\n            if {0}: return False",
        "with value as {0}:\n            return {0}",
    ],
)
def test_any_local_of_a_helper_may_be_renamed(body):
    text = """
    def helper(value):
        {}

    def check(value):
        always(helper(value), "m")
    """
    one, two = (text.format(body.format(name)) for name in ("one", "two"))
    assert of(one) == of(two)


def test_two_locals_of_a_helper_are_never_taken_for_each_other():
    text = """
    def helper(value):
        one = read(value)
        two = read(value)
        return {}

    def check(value):
        always(helper(value), "m")
    """
    assert of(text.format("one")) != of(text.format("two"))


def test_moving_a_helper_leaves_the_fingerprint_alone():
    helper = "def fits(value):\n    return value < 3\n"
    user = "def check(value):\n    always(fits(value), 'm')\n"
    assert of(helper + user) == of(user + helper)


def test_helpers_that_call_each_other_end():
    text = """
    def even(n): return n == 0 or odd(n - 1)
    def odd(n): return n != 0 and even(n - 1)
    def check(n):
        always(even(n), "m")
    """
    assert len(of(text)) == 16


# -- properties --------------------------------------------------------------

NAMES = ("a", "b", "c")
COMPARISONS = ["<", "<=", ">", ">=", "==", "!=", "in"]
BINDINGS = {
    "parameters": "def f(self, a, b, c):\n",
    "locals": "def f(self):\n    a = self.x\n    b = self.y()\n    c = self.z[1]\n",
    "likes": "def f(self):\n    a = read(self)\n    b = read(self)\n    c = read(self)\n",
    "a loop": "def f(self):\n    for a, (b, c) in self.items(): pass\n",
    "a mixture": "def f(self, a):\n    with self.lock as b: pass\n    c = a\n    c += 1\n",
}
heads = st.sampled_from(sorted(BINDINGS))
operands = st.recursive(
    st.sampled_from([*NAMES, "(1)", "'x'", "self.size", "LIMIT"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*%"), inner).map(" ".join).map("({})".format),
        inner.map("len({})".format),
        inner.map("{}.revision".format),
        inner.map("self.values[{}]".format),
    ),
    max_leaves=4,
)
LOCAL = re.compile(r"(?<![.\w'])[abc]\b(?!')")
comparisons = st.tuples(operands, st.sampled_from(COMPARISONS), operands)


def within_condition(head: str, condition: str) -> str:
    return of(BINDINGS[head] + f"    always({condition}, 'm')\n")


@given(heads, st.lists(comparisons, min_size=1, max_size=3), st.permutations(("p", "a", "q", "b")))
def test_renaming_consistently_never_changes_a_fingerprint(head, parts, names):
    text = BINDINGS[head] + f"    always({' and '.join(map(' '.join, parts))}, 'm')\n"
    new = dict(zip(NAMES, names, strict=False))
    renamed = LOCAL.sub(lambda match: new[match[0]], text)
    assert of(renamed) == of(text)


@given(heads, comparisons, st.lists(comparisons, max_size=2), st.integers(0, 2))
def test_swapping_two_different_operands_always_changes_a_fingerprint(head, swapped, rest, place):
    left, operator, right = swapped
    assume(ast.dump(ast.parse(left)) != ast.dump(ast.parse(right)))
    around = [" ".join(part) for part in rest]

    def condition(*parts):
        return " or ".join([*around[:place], " ".join(parts), *around[place:]])

    assert within_condition(head, condition(left, operator, right)) != within_condition(
        head, condition(right, operator, left)
    )


@given(heads, comparisons, st.sampled_from(COMPARISONS))
def test_another_operator_always_changes_a_fingerprint(head, comparison, other):
    left, operator, right = comparison
    assume(operator != other)
    assert within_condition(head, " ".join(comparison)) != within_condition(
        head, f"{left} {other} {right}"
    )


@given(heads.filter(lambda head: head != "likes"), comparisons, st.permutations(NAMES))
def test_another_variable_always_changes_a_fingerprint(head, comparison, names):
    condition = " ".join(comparison)
    new = {names[0]: names[1]}
    other = LOCAL.sub(lambda match: new.get(match[0], match[0]), condition)
    assume(other != condition)
    assert within_condition(head, other) != within_condition(head, condition)


@given(heads, comparisons, comparisons)
def test_conditions_with_one_fingerprint_are_one_condition(head, one, two):
    first, second = " ".join(one), " ".join(two)
    same = ast.dump(ast.parse(first)) == ast.dump(ast.parse(second))
    assert (within_condition(head, first) == within_condition(head, second)) is same


@given(heads, comparisons)
def test_a_variable_for_a_condition_never_changes_a_fingerprint(head, comparison):
    condition = " ".join(comparison)
    named = of(BINDINGS[head] + f"    ok = {condition}\n    always(ok, 'm')\n")
    assert named == within_condition(head, condition)


blanks = st.text(" \t", min_size=1, max_size=3)
breaks = st.sampled_from([" ", "\n", "\n\n", " # comment\n", "\t", "\\\n"])


@given(heads, comparisons, st.data())
def test_white_space_never_changes_a_fingerprint(head, comparison, data):
    tokens = re.findall(r"\w+|'\w*'|[^\w\s]+?(?<![<>=!])=?|[<>=!]=?", " ".join(comparison))
    spread = "".join(token + data.draw(breaks.filter(lambda b: b != "\\\n")) for token in tokens)
    assert ast.dump(ast.parse(f"({spread}\n)")) == ast.dump(ast.parse(" ".join(comparison)))
    text = BINDINGS[head] + f"    always(({spread}\n), {data.draw(blanks)}'m')\n"
    assert of(text) == within_condition(head, " ".join(comparison))


@given(heads, comparisons, st.integers(0, 3), st.booleans())
def test_what_stands_around_never_changes_a_fingerprint(head, comparison, lines, nested):
    text = BINDINGS[head] + f"    always({' '.join(comparison)}, 'm')\n"
    noise = "".join(f"noise_{number} = {number}\n" for number in range(lines))
    around = noise + ("class Store:\n" + indent(text, "    ") if nested else text) + noise
    assert of(around) == of(text)


# -- what a name may be where it is used ---------------------------------------

LATER = """
    def check(self, one, two):
        {}
        always({}, "m")
"""


def later(*lines, condition="ok"):
    return of(LATER.format("\n        ".join(lines), condition))


def test_a_local_function_as_condition_is_followed_into_its_body():
    def local(test):
        return later(f"def ok(): return {test}")

    assert local("one > two") == local("(one) > two")
    assert local("one > two") != local("one >= two")


@pytest.mark.parametrize(
    "lines",
    [
        ("ok = one > 0", "ok &= two {} 1"),
        ("ok = one > 0", "if one:", "    ok = two {} 1"),
        ("if one:", "    ok = one > 0", "else:", "    ok = two {} 1"),
        ("ok = one > 0", "for each in self.all:", "    ok = ok and each {} 1"),
        ("ok = one > 0", "while self.more():", "    ok &= self.next() {} 1"),
        ("try:", "    ok = one > 0", "except OSError:", "    ok = two {} 1"),
        ("match one:", "    case {{}}: ok = one > 0", "    case _: ok = two {} 1"),
    ],
)
def test_everything_that_a_name_may_have_become_counts(lines):
    text = "\n".join(lines)
    assert later(*text.format(">").split("\n")) != later(*text.format(">=").split("\n"))


@pytest.mark.parametrize(
    "before",
    [
        ("ok = self.size > 7",),
        ("for ok in self.all:", "    print(ok)"),
        ("with self.lock as ok:", "    print(ok)"),
        ("try:", "    print()", "except OSError as ok:", "    print(ok)"),
        ("if one:", "    ok = two", "    print(ok)"),
    ],
)
def test_what_a_name_was_before_does_not_count(before):
    last = "ok = one > two"
    assert later(*before, last) == later(last)


def test_what_a_name_becomes_later_counts_only_where_a_loop_comes_around():
    text = "def f(self, size):\n    {}\n        always(size > 0, 'm')\n        size = self.{}()"
    for head, counts in (("if self.on:", False), ("while self.on:", True)):
        changed = of(text.format(head, "grow")) != of(text.format(head, "shrink"))
        assert changed is counts


def test_a_second_loop_over_a_name_counts_and_the_first_does_not():
    text = """
    def f(self, one):
        for each in {}:
            print(each)
        for each in {}:
            always(each > 0, "m")
    """
    assert of(text.format("one.a", "one.b")) == of(text.format("one.c", "one.b"))
    assert of(text.format("one.a", "one.b")) != of(text.format("one.a", "one.c"))


def test_a_capture_of_a_match_in_a_helper_may_be_renamed():
    text = """
    def fits(value):
        match value:
            case [{0}, *{1}]: return {0} > len({1})
            case {{"size": {0}, **{1}}}: return {0} > len({1})
            case {0}: return {0}

    def check(value):
        always(fits(value), "m")
    """
    assert of(text.format("first", "rest")) == of(text.format("head", "tail"))
    assert of(text.format("first", "rest")) != of(text.replace("> len", "< len").format("a", "b"))


def test_what_is_matched_counts():
    text = "def f(self, one, two):\n    match {}:\n        case [a, *_]: always(a > 0, 'm')"
    assert of(text.format("one")) != of(text.format("two"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("@cached\n", ""),
        ("@cached\n", "@negated\n"),
        ("low=1, high=2", "low, high=1"),
        ("=2", "=3"),
    ],
)
def test_decorators_and_defaults_of_a_helper_count(old, new):
    text = (
        "@cached\ndef fits(value, *, low=1, high=2): return low < value < high\n"
        "def check(value): always(fits(value), 'm')\n"
    )
    assert old in text
    assert of(text.replace(old, new)) != of(text)


# -- what stands elsewhere -------------------------------------------------------


def elsewhere(user, other):
    scan = read(HEAD + dedent(user), other=dedent(other))
    (site,) = scan.sites
    return site.fingerprint


@pytest.mark.parametrize(
    ("use", "condition"),
    [
        ("from other import LIMIT, fits", "fits(n) and n < LIMIT"),
        ("import other", "other.fits(n) and n < other.LIMIT"),
    ],
)
@pytest.mark.parametrize(("old", "new"), [("5", "500"), ("n > 1", "True")])
def test_functions_and_constants_of_other_modules_count(use, condition, old, new):
    user = f"{use}\ndef f(n):\n    always({condition}, 'm')"
    other = "LIMIT = 5\ndef fits(n): return n > 1\n"
    assert elsewhere(user, other) == elsewhere(user, other.replace("(n)", "( n )"))
    assert elsewhere(user, other) != elsewhere(user, other.replace(old, new))


@pytest.mark.parametrize(("old", "new"), [("7", "8"), ("self.n > 1", "self.n > 2")])
def test_properties_and_constants_of_a_class_count(old, new):
    text = """
    class Log:
        MOST = 7

        @property
        def is_full(self): return self.n > 1

        def check(self):
            always(self.is_full or self.n < self.MOST, "m")
    """
    assert of(text.replace(old, new)) != of(text)


def test_helpers_that_call_many_helpers_are_read_in_time():
    names = range(40)
    calls = " and ".join(f"f{number}(n)" for number in names)
    helpers = "".join(f"def f{number}(n): return {calls}\n" for number in names)
    assert len(of(helpers + "def check(n): always(f0(n), 'm')")) == 16
