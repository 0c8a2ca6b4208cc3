"""Functions that pass a message on: their callers are the sites."""

from __future__ import annotations

from textwrap import dedent

import pytest

from .reading import codes, found, lines, only, read

FORMS = {
    "a function": """
        @wrapper
        def check(ok, message):
            always(ok, message)
        check(a, "m")
    """,
    "arguments by keyword": """
        @wrapper
        def check(ok, message):
            always(message=message, condition=ok)
        check(message="m", ok=a)
    """,
    "parameters by keyword only": """
        @wrapper
        def check(ok, /, *, message):
            always(ok, message)
        check(a, message="m")
    """,
    "the arguments in another order": """
        @wrapper
        def check(message, ok):
            always(ok, message)
        check("m", a)
    """,
    "the message by default": """
        @wrapper
        def check(ok, message="m"):
            always(ok, message)
        check(a)
    """,
    "the message by default, keyword only": """
        @wrapper
        def check(ok, *, message="m"):
            always(ok, message)
        check(a)
    """,
    "a default of another parameter": """
        @wrapper
        def check(ok, message, details=None):
            always(ok, message, details)
        check(a, "m")
    """,
    "an invariant given by the caller": """
        @wrapper
        def check(ok, message, invariant=None):
            always(ok, message, invariant=invariant)
        check(a, "m")
    """,
    "a method through self": """
        class Store:
            @wrapper
            def check(self, ok, message):
                always(ok, message)
            def put(self, a):
                self.check(a, "m")
    """,
    "a method through an instance": """
        class Store:
            @wrapper
            def check(self, ok, message):
                always(ok, message)
        store = Store()
        store.check(a, "m")
    """,
    "a method through its class": """
        class Store:
            @wrapper
            def check(self, ok, message):
                always(ok, message)
        Store.check(store, a, "m")
    """,
    "a static method": """
        class Store:
            @staticmethod
            @wrapper
            def check(ok, message):
                always(ok, message)
            def put(self, a):
                self.check(a, "m")
    """,
    "a class method": """
        class Store:
            @classmethod
            @wrapper
            def check(cls, ok, message):
                always(ok, message)
        Store.check(a, "m")
    """,
    "a method of a base class": """
        class Base:
            @wrapper
            def check(self, ok, message):
                always(ok, message)
        class Store(Base):
            def put(self, a):
                self.check(a, "m")
    """,
    "a wrapper of a wrapper": """
        @wrapper
        def inner(ok, message):
            always(ok, message)
        @wrapper
        def outer(message, ok):
            inner(ok, message)
        outer("m", a)
    """,
    "a wrapper below its caller": """
        def put(a):
            check(a, "m")
        @wrapper
        def check(ok, message):
            always(ok, message)
    """,
    "a local wrapper": """
        def put(a):
            @wrapper
            def check(ok, message):
                always(ok, message)
            check(a, "m")
    """,
    "an async wrapper": """
        @wrapper
        async def check(ok, message):
            always(ok, message)
        async def put(a):
            await check(a, "m")
    """,
    "an assertion in a nested function of the wrapper": """
        @wrapper
        def check(ok, message):
            def later():
                always(ok, message)
            later()
        check(a, "m")
    """,
    "an alias": """
        @wrapper
        def check(ok, message):
            always(ok, message)
        verify = check
        verify(a, "m")
    """,
    "its mark through the module": """
        import assertlib
        @assertlib.wrapper
        def check(ok, message):
            always(ok, message)
        check(a, "m")
    """,
}


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS.keys())
def test_a_wrapper_is_looked_through(text):
    scan = read("from assertlib import *\nfrom assertlib import wrapper\n" + dedent(text))
    assert scan.findings == []
    assert found(scan) == [("always", "m", None)]


CHECKS = """
    from assertlib import Invariant, always, wrapper
    @wrapper
    def check(ok, message):
        always(ok, message, invariant="kv.x")
    @wrapper
    def both(ok, message):
        Invariant("kv.x").always_if(ok, lambda: ok, message)
"""


@pytest.mark.parametrize(
    "text",
    [
        "from .checks import check\ncheck(a, 'm')",
        "from .checks import check as verify\nverify(a, 'm')",
        "import checks\nchecks.check(a, 'm')",
        "from . import checks\nchecks.check(a, 'm')",
        "from checks import *\ncheck(a, 'm')",
    ],
)
def test_an_imported_wrapper_is_looked_through(text):
    site = only(read(text, checks=CHECKS))
    assert (site.file, site.line, site.invariant) == ("mod.py", 2, "kv.x")


def test_the_callers_of_a_wrapper_are_the_sites():
    scan = read("""\
        from assertlib import always, wrapper

        @wrapper
        def check(ok, message):
            always(ok, message)

        class Store:
            def put(self, a):
                check(a > 0, "put")

        check(b > 0, "start")
    """)
    assert scan.findings == []
    assert [(site.message, site.qualname, site.line, site.condition) for site in scan.sites] == [
        ("put", "Store.put", 9, "a > 0"),
        ("start", "<module>", 11, "b > 0"),
    ]


def test_a_wrapper_of_a_derived_assertion_makes_all_of_it():
    scan = read("from .checks import both\nboth(a, 'm')", checks=CHECKS)
    assert [site.message for site in scan.sites] == ["m", "m [antecedent]"]


def test_a_wrapper_may_make_two_assertions_of_one_kind_each():
    scan = read("""
        from assertlib import always, sometimes, wrapper
        @wrapper
        def check(ok, rare, message, rarely):
            always(ok, message)
            sometimes(rare, rarely)
        check(a, b, "always m", "sometimes m")
    """)
    assert scan.findings == []
    assert found(scan) == [("always", "always m", None), ("sometimes", "sometimes m", None)]


def test_the_invariant_may_come_from_the_caller():
    scan = read("""
        from assertlib import always, wrapper
        @wrapper
        def check(ok, message, invariant):
            always(ok, message, invariant=invariant)
        check(a, "m", "kv.x")
    """)
    assert only(scan).invariant == "kv.x"


def test_an_assertion_with_a_message_of_its_own_belongs_to_the_wrapper():
    scan = read("""
        from assertlib import always, wrapper
        @wrapper
        def check(ok, message):
            always(ok, message)
            always(ok, "its own")
        check(a, "m")
    """)
    assert scan.findings == []
    assert sorted((site.message, site.qualname) for site in scan.sites) == [
        ("its own", "check"),
        ("m", "<module>"),
    ]


@pytest.mark.parametrize(
    "call",
    ["check(a)", "check(a, name)", "check(a, f'{name}')", "check(*args)", "check(a, **kwargs)"],
)
def test_a_caller_of_a_wrapper_must_give_a_literal(call):
    scan = read(f"""\
        from assertlib import always, wrapper
        @wrapper
        def check(ok, message):
            always(ok, message)
        {call}
    """)
    assert codes(scan) == ["AL104"]
    assert lines(scan, "AL104") == [5]


def test_a_function_that_passes_messages_on_unmarked_is_told():
    scan = read("""\
        from assertlib import always
        def check(ok, message):
            always(ok, message)
        check(a, "m")
    """)
    assert codes(scan) == ["AL104"]
    assert lines(scan, "AL104") == [3]
    assert "@assertlib.wrapper" in scan.findings[0].remedy


def test_an_unmarked_wrapper_of_a_wrapper_is_told():
    scan = read("""\
        from assertlib import always, wrapper
        @wrapper
        def check(ok, message):
            always(ok, message)
        def outer(ok, message):
            check(ok, message)
    """)
    assert codes(scan) == ["AL104"]
    assert lines(scan, "AL104") == [6]


def test_a_wrapper_that_changes_the_message_is_told():
    scan = read("""
        from assertlib import always, wrapper
        @wrapper
        def check(ok, message):
            always(ok, "store: " + message)
        check(a, "m")
    """)
    assert codes(scan) == ["AL104"]


def test_a_wrapper_that_hides_the_message_is_told():
    scan = read("""
        from assertlib import always, wrapper
        @wrapper
        def check(*args):
            always(*args)
        check(a, "m")
    """)
    assert codes(scan) == ["AL104"]


def test_a_wrapper_that_asserts_on_an_invariant_of_its_caller_leaves_no_gap():
    scan = read("""
        from assertlib import Invariant, wrapper
        @wrapper
        def check(invariant, ok, message):
            invariant.always(ok, message)
        check(Invariant("kv.x"), a, "m")
    """)
    assert scan.sites or scan.findings


def test_a_wrapper_that_calls_itself_is_read_once():
    scan = read("""
        from assertlib import always, wrapper
        @wrapper
        def check(ok, message, tries=3):
            always(ok, message)
            check(ok, message, tries - 1)
        check(a, "m")
    """)
    assert found(scan) == [("always", "m", None)]


def test_two_wrappers_that_call_each_other_are_read_once():
    scan = read("""
        from assertlib import always, wrapper
        @wrapper
        def one(ok, message):
            always(ok, message)
            two(ok, message)
        @wrapper
        def two(ok, message):
            one(ok, message)
        one(a, "m")
    """)
    assert found(scan) == [("always", "m", None)]


def test_a_wrapper_handed_around_is_told():
    scan = read("""
        from assertlib import always, wrapper
        @wrapper
        def check(ok, message):
            always(ok, message)
        register(check)
    """)
    assert codes(scan) == ["AL111"]


def test_a_constant_given_to_a_wrapper_is_told():
    scan = read("""
        from assertlib import always, wrapper
        @wrapper
        def check(ok, message):
            always(ok, message)
        check(True, "m")
    """)
    assert codes(scan) == ["AL107"]


def test_two_callers_of_a_wrapper_with_one_message_are_told():
    scan = read("""
        from assertlib import always, wrapper
        @wrapper
        def check(ok, message):
            always(ok, message)
        check(a, "m")
        check(b, "m")
    """)
    assert codes(scan) == ["AL103"]
