"""Invariants and bound assertions, wherever they are kept."""

from __future__ import annotations

from textwrap import dedent

import pytest

from .reading import codes, found, lines, only, read

X = [("always", "m", "kv.x")]

PLACES = {
    "a module": """
        X = Invariant("kv.x")
        def f(a):
            X.always(a, "m")
    """,
    "a function": """
        def f(a):
            x = Invariant("kv.x")
            x.always(a, "m")
    """,
    "a class, through self": """
        class C:
            X = Invariant("kv.x")
            def f(self, a):
                self.X.always(a, "m")
    """,
    "a class, through the class": """
        class C:
            X = Invariant("kv.x")
        C.X.always(a, "m")
    """,
    "a class, through cls": """
        class C:
            X = Invariant("kv.x")
            @classmethod
            def f(cls, a):
                cls.X.always(a, "m")
    """,
    "an instance": """
        class C:
            def __init__(self):
                self.x = Invariant("kv.x")
            def f(self, a):
                self.x.always(a, "m")
    """,
    "an instance, under another name than self": """
        class C:
            def __init__(me):
                me.x = Invariant("kv.x")
            def f(me, a):
                me.x.always(a, "m")
    """,
    "an instance, used in a closure": """
        class C:
            def __init__(self):
                self.x: Invariant = Invariant("kv.x")
            def f(self, a):
                return lambda: self.x.always(a, "m")
    """,
    "an instance, from outside": """
        class C:
            def __init__(self):
                self.x = Invariant("kv.x")
        c = C()
        c.x.always(a, "m")
    """,
    "a base class": """
        class Base:
            X = Invariant("kv.x")
        class C(Base):
            def f(self, a):
                self.X.always(a, "m")
    """,
    "an instance of a base class": """
        class Base:
            def __init__(self):
                self.x = Invariant("kv.x")
        class C(Base):
            def f(self, a):
                self.x.always(a, "m")
    """,
    "a global that a function sets": """
        def setup():
            global X
            X = Invariant("kv.x")
        def f(a):
            X.always(a, "m")
    """,
    "a walrus": """
        def f(a):
            (x := Invariant("kv.x")).always(a, "m")
    """,
}


@pytest.mark.parametrize("text", PLACES.values(), ids=PLACES.keys())
def test_an_invariant_is_followed_to_where_it_is_kept(text):
    scan = read("from assertlib import Invariant\n" + dedent(text))
    assert scan.findings == []
    assert found(scan) == X


OTHERS = {
    "a static method": """
        class C:
            x = Invariant("kv.x")
            @staticmethod
            def f(store, a):
                store.x.always(a, "m")
    """,
    "a static method that sets it": """
        class C:
            @staticmethod
            def set(store):
                store.x = Invariant("kv.x")
            def f(self, a):
                self.x.always(a, "m")
    """,
    "a function in a static method": """
        class C:
            x = Invariant("kv.x")
            @staticmethod
            def f(store, a):
                return lambda: store.x.always(a, "m")
    """,
    "a method with keywords only": """
        class C:
            x = Invariant("kv.x")
            def f(*, store, a):
                store.x.always(a, "m")
    """,
    "all arguments of a method": """
        class C:
            x = Invariant("kv.x")
            def f(*args):
                args.x.always(a, "m")
    """,
}


@pytest.mark.parametrize("text", OTHERS.values(), ids=OTHERS.keys())
def test_a_parameter_that_is_no_instance_is_not_taken_for_one(text):
    scan = read("from assertlib import Invariant\n" + dedent(text))
    assert found(scan) == []


HIDDEN = {
    "a parameter": "def f(x, a):\n    x.always(a, 'm')\nf(X, 1)",
    "an annotated parameter": "def f(x: Invariant, a):\n    x.always(a, 'm')\nf(X, 1)",
    "a dict": "ALL = {'x': X}\nALL['x'].always(a, 'm')",
    "a loop": "for x in (X, Y):\n    x.always(a, 'm')",
    "a choice": "Z = X if b else Y\nZ.always(a, 'm')",
    "what a function returns": "def x():\n    return X\nx().always(a, 'm')",
    "getattr": "getattr(X, 'always')(a, 'm')",
    "a subclass": "class Mine(Invariant): ...\nMine('kv.x').always(a, 'm')",
    "another object's attribute": "store.x = X\nstore.x.always(a, 'm')",
}


@pytest.mark.parametrize("text", HIDDEN.values(), ids=HIDDEN.keys())
def test_an_invariant_that_cannot_be_followed_is_a_finding_not_a_gap(text):
    scan = read(f"from assertlib import Invariant\nX = Invariant('kv.x')\nY = X\n{text}")
    assert scan.sites or scan.findings


def test_a_less_direct_subclass_of_invariant_takes_an_id_as_well():
    scan = read("""
        from assertlib import Invariant
        class A(Invariant): ...
        class B(A): ...
        B("kv.x").always(a, "m")
    """)
    assert scan.findings == []
    assert found(scan) == X


@pytest.mark.parametrize("base", ["Invariant", "A"])
def test_an_invariant_that_asserts_itself_is_told(base):
    scan = read(f"""
        from assertlib import Invariant
        class A(Invariant): ...
        class B({base}):
            def check(self, a):
                self.always(a, "m")
    """)
    assert codes(scan) == ["AL117"]


def test_an_invariant_that_has_its_own_always_is_fine():
    scan = read("""
        from assertlib import Invariant
        class A(Invariant):
            def always(self, a, message): ...
            def check(self, a):
                self.always(a, "m")
    """)
    assert codes(scan) == []


BOUND = {
    "a module": """
        check = X.declare_always("m")
        def f(a):
            check(a)
    """,
    "the spot": "X.declare_always('m')(a)",
    "a function": """
        def f(a):
            check = X.declare_always(message="m")
            check(a, {"a": a})
    """,
    "an instance": """
        class C:
            def __init__(self):
                self.check = X.declare_always("m")
            def f(self, a):
                self.check(a)
    """,
    "an alias": """
        check = X.declare_always("m")
        other = check
        other(a)
    """,
    "an annotated name": """
        check: object = X.declare_always("m")
        check(condition=a)
    """,
    "a constant's name": """
        M = "m"
        check = X.declare_always(M)
        check(a)
    """,
}


@pytest.mark.parametrize("text", BOUND.values(), ids=BOUND.keys())
def test_a_bound_assertion_is_followed_to_its_call(text):
    scan = read("from assertlib import Invariant\nX = Invariant('kv.x')\n" + dedent(text))
    assert scan.findings == []
    assert found(scan) == X


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("always", "a"),
        ("always_or_unreachable", "a"),
        ("sometimes", "a"),
        ("reachable", ""),
        ("unreachable", "{}"),
    ],
)
def test_each_kind_can_be_bound(kind, arguments):
    site = only(
        read(f"""
            from assertlib import Invariant
            check = Invariant("kv.x").declare_{kind}("m")
            check({arguments})
        """)
    )
    assert (site.kind.name, site.line, site.invariant) == (kind, 4, "kv.x")


def test_the_site_of_a_bound_assertion_is_its_call():
    site = only(
        read("""\
            from assertlib import Invariant
            check = Invariant("kv.x").declare_always("m")

            def f(a):
                check(a > 0)
        """)
    )
    assert (site.line, site.column, site.qualname, site.condition) == (5, 5, "f", "a > 0")


DECLARED = """
    from assertlib import Invariant
    X = Invariant("kv.x")
    check = X.declare_always("m")
    class Checks:
        def __init__(self):
            self.check = X.declare_sometimes("from an instance")
        never = X.declare_always("from a class")
"""


@pytest.mark.parametrize(
    "text",
    [
        "from .checks import check\ncheck(a)",
        "from .checks import check as verify\nverify(a)",
        "import checks\nchecks.check(a)",
        "import checks as c\nc.check(a)",
        "from checks import *\ncheck(a)",
        "from . import checks\nchecks.check(a)",
    ],
)
def test_a_bound_assertion_is_followed_into_a_module_that_never_says_assertlib(text):
    scan = read(text, checks=DECLARED)
    assert [site.file for site in scan.sites if site.message == "m"] == ["mod.py"]
    assert len([site for site in scan.sites if site.message == "m"]) == 1


def test_an_invariant_is_followed_into_a_module_that_never_says_assertlib():
    scan = read("from .checks import X\nX.sometimes(a, 'other')", checks=DECLARED)
    assert ("sometimes", "other", "kv.x") in found(scan)


def test_bound_assertions_of_an_imported_class_are_found():
    scan = read("from .checks import Checks\nChecks.never(a)\nChecks().check(a)", checks=DECLARED)
    assert {site.message: site.file for site in scan.sites} == {
        "m": "checks.py",
        "from a class": "mod.py",
        "from an instance": "mod.py",
    }


def test_a_bound_assertion_that_nobody_calls_is_told_and_still_a_site():
    scan = read("""\
        from assertlib import Invariant
        check = Invariant("kv.x").declare_always("m")
    """)
    assert found(scan) == X
    assert codes(scan) == ["AL112"]
    assert lines(scan, "AL112") == [2]


def test_a_bound_assertion_has_one_call_site():
    scan = read("""\
        from assertlib import Invariant
        check = Invariant("kv.x").declare_always("m")
        check(a)
        check(b)
    """)
    assert codes(scan) == ["AL103"]
    assert lines(scan, "AL103") == [4]


def test_two_bound_assertions_with_one_message_are_told():
    scan = read("""
        from assertlib import Invariant
        X = Invariant("kv.x")
        one = X.declare_always("m")
        two = X.declare_always("m")
        one(a)
        two(b)
    """)
    assert codes(scan) == ["AL103"]


def test_a_bound_assertion_needs_a_literal_message():
    scan = read("""
        from assertlib import Invariant
        check = Invariant("kv.x").declare_always(name)
        check(a)
    """)
    assert "AL104" in codes(scan)
    assert scan.sites == []


def test_a_bound_assertion_in_a_class_body_is_told_because_self_would_be_its_condition():
    scan = read("""
        from assertlib import Invariant
        class Store:
            never_back = Invariant("kv.x").declare_always("m")
            def apply(self, rev):
                self.never_back(rev > self.rev)
    """)
    assert scan.findings != []


def test_a_method_that_a_subclass_of_invariant_adds_is_no_finding_and_a_misspelt_one_is():
    scan = read("""
        from assertlib import Invariant
        class A(Invariant):
            def helper(self): ...
        class B(A): ...
        B("kv.x").helper()
        B("kv.x").helpre()
        B("kv.x").always(a, "m")
    """)
    assert codes(scan) == ["AL117"]
    assert found(scan) == X


def test_an_invariant_named_by_its_own_id_is_a_finding_and_hides_no_other_assertion():
    scan = read("""
        from assertlib import Invariant
        Y = Invariant(Y.id)
        Y.always(a, "n")
        Invariant("kv.x").always(a, "m")
    """)
    assert "AL114" in codes(scan)
    assert ("always", "m", "kv.x") in found(scan)
