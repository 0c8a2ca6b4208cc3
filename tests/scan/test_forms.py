"""The ways to write an assertion that the scanner understands."""

from __future__ import annotations

import pytest

from assertlib.catalog.scan import scan_sources
from assertlib.model import site_from_dict

from .reading import codes, found, only, read

SPELLINGS = {
    "imported": "from assertlib import always\nalways(a > 0, 'm', invariant='kv.x')",
    "imported under another name": (
        "from assertlib import always as claim\nclaim(a > 0, 'm', invariant='kv.x')"
    ),
    "through the module": "import assertlib\nassertlib.always(a > 0, 'm', invariant='kv.x')",
    "through a module's alias": ("import assertlib as al\nal.always(a > 0, 'm', invariant='kv.x')"),
    "through the submodule": (
        "import assertlib.assertions\nassertlib.assertions.always(a > 0, 'm', invariant='kv.x')"
    ),
    "from the Antithesis SDK's twin": (
        "from assertlib.assertions import always\nalways(a > 0, 'm', invariant='kv.x')"
    ),
    "from the Antithesis SDK": (
        "from antithesis.assertions import always\nalways(a > 0, 'm', invariant='kv.x')"
    ),
    "a module of the Antithesis SDK": (
        "from antithesis import assertions\nassertions.always(a > 0, 'm', invariant='kv.x')"
    ),
    "star import": "from assertlib import *\nalways(a > 0, 'm', invariant='kv.x')",
    "keyword arguments": (
        "from assertlib import always\n"
        "always(message='m', invariant='kv.x', condition=a > 0, details={})"
    ),
    "positional details": (
        "from assertlib import always\nalways(a > 0, 'm', {'a': a}, invariant='kv.x')"
    ),
    "sampled": "from assertlib import always\nalways(lambda: a > 0, 'm', invariant='kv.x', every=9)",
    "an alias": "import assertlib\nclaim = assertlib.always\nclaim(a > 0, 'm', invariant='kv.x')",
    "an annotated alias": (
        "import assertlib\nclaim: object = assertlib.always\nclaim(a > 0, 'm', invariant='kv.x')"
    ),
    "an Invariant's method": (
        "from assertlib import Invariant\nX = Invariant('kv.x')\nX.always(a > 0, 'm')"
    ),
    "an Invariant on the spot": (
        "from assertlib import Invariant\nInvariant('kv.x').always(a > 0, 'm')"
    ),
    "an Invariant by keyword": (
        "from assertlib import Invariant\nX = Invariant(id='kv.x')\nX.always(a > 0, message='m')"
    ),
    "the id of an Invariant": (
        "import assertlib as al\nX = al.Invariant('kv.x')\nal.always(a > 0, 'm', invariant=X.id)"
    ),
    "an alias of an Invariant's method": (
        "from assertlib import Invariant\nclaim = Invariant('kv.x').always\nclaim(a > 0, 'm')"
    ),
    "imported for type checkers": (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from assertlib import always\n"
        "always(a > 0, 'm', invariant='kv.x')"
    ),
    "imported if it is there": (
        "try:\n    from assertlib import always\nexcept ImportError:\n"
        "    def always(*args, **kwargs): return True\nalways(a > 0, 'm', invariant='kv.x')"
    ),
    "imported from wherever it is": (
        "try:\n    from antithesis.assertions import always\nexcept ImportError:\n"
        "    from assertlib import always\nalways(a > 0, 'm', invariant='kv.x')"
    ),
    "module imported if it is there": (
        "try:\n    import assertlib\nexcept ImportError:\n    assertlib = None\n"
        "assertlib.always(a > 0, 'm', invariant='kv.x')"
    ),
    "Invariant imported if it is there": (
        "try:\n    from assertlib import Invariant\nexcept ImportError:\n"
        "    from stubs import Invariant\nX = Invariant('kv.x')\nX.always(a > 0, 'm')"
    ),
    "implicit concatenation": (
        "from assertlib import always\nalways(a > 0, '' 'm' '', invariant='kv' '.x')"
    ),
    "added literals": "from assertlib import always\nalways(a > 0, '' + 'm', invariant='kv.' + 'x')",
    "a module's constants": (
        "from assertlib import always\nM = 'm'\nX = 'kv.x'\nalways(a > 0, M, invariant=X)"
    ),
    "constants that are put together": (
        "from assertlib import always\nAREA = 'kv'\nalways(a > 0, '' + 'm', invariant=AREA + '.x')"
    ),
    "a class attribute": (
        "from assertlib import always\nclass Names:\n    M = 'm'\n    X = 'kv.x'\n"
        "always(a > 0, Names.M, invariant=Names.X)"
    ),
    "an f-string that holds nothing": (
        "from assertlib import always\nalways(a > 0, f'm', invariant='kv.x')"
    ),
}


@pytest.mark.parametrize("text", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_every_spelling_of_an_assertion_is_found(text):
    scan = read(text)
    assert scan.findings == []
    assert found(scan) == [("always", "m", "kv.x")]


KINDS = {
    "always(a > 0, 'm')": "always",
    "always_or_unreachable(a > 0, 'm')": "always_or_unreachable",
    "sometimes(a > 0, 'm')": "sometimes",
    "reachable('m')": "reachable",
    "reachable(message='m', details={})": "reachable",
    "unreachable('m')": "unreachable",
    "always_equal_to(a, b, 'm')": "always",
    "always_greater_than(a, b, 'm')": "always",
    "always_greater_than_or_equal_to(a, b, 'm')": "always",
    "always_less_than(a, b, 'm')": "always",
    "always_less_than_or_equal_to(a, right=b, message='m')": "always",
    "sometimes_equal_to(a, b, 'm')": "sometimes",
    "sometimes_greater_than(a, b, 'm')": "sometimes",
    "sometimes_greater_than_or_equal_to(a, b, 'm')": "sometimes",
    "sometimes_less_than(a, b, 'm')": "sometimes",
    "sometimes_less_than_or_equal_to(a, b, 'm')": "sometimes",
    "always_some({'a': a}, 'm')": "always",
    "sometimes_all({'a': a}, 'm')": "sometimes",
}


@pytest.mark.parametrize(("call", "kind"), KINDS.items())
def test_each_function_has_its_kind(call, kind):
    assert only(read(f"from assertlib import *\n{call}")).kind.name == kind


@pytest.mark.parametrize(("call", "kind"), KINDS.items())
def test_each_method_of_an_invariant_has_its_kind(call, kind):
    site = only(read(f"from assertlib import Invariant\nX = Invariant('kv.x#part')\nX.{call}"))
    assert (site.kind.name, site.message, site.invariant) == (kind, "m", "kv.x#part")


def test_an_imported_constant_is_a_message():
    scan = read(
        "from assertlib import always\nfrom .names import M\nalways(a > 0, M)",
        names="import assertlib\nM = 'm'",
    )
    assert only(scan).message == "m"


def test_a_constant_of_a_module_without_assertions_is_a_message():
    scan = read(
        "from assertlib import always\nfrom .names import M\nalways(a > 0, M)", names="M = 'm'"
    )
    assert only(scan).message == "m"


def test_a_constant_reached_through_its_module_is_a_message():
    scan = read(
        "import names\nfrom assertlib import always\nalways(a > 0, names.M)",
        names="import assertlib\nM = 'm'",
    )
    assert only(scan).message == "m"


def test_a_constant_of_its_own_class_is_a_message():
    scan = read("""
        from assertlib import always
        class Log:
            MESSAGE = "m"
            def append(self, a):
                always(a > 0, self.MESSAGE)
    """)
    assert only(scan).message == "m"


def test_a_constant_of_a_base_class_is_a_message():
    scan = read("""
        from assertlib import always
        class Base:
            MESSAGE = "m"
        class Log(Base):
            def append(self, a):
                always(a > 0, self.MESSAGE)
    """)
    assert only(scan).message == "m"


@pytest.mark.parametrize("body", ["", "message = 'm'"])
def test_an_attribute_that_a_method_assigns_is_no_constant_of_the_module(body):
    scan = read(f"""
        from assertlib import always
        message = "x"
        class Log:
            {body}
            def __init__(self, message):
                self.message = message
            def append(self, a):
                always(a > 0, self.message)
    """)
    assert codes(scan) == ["AL104"]
    assert scan.sites == []


def test_an_attribute_that_a_class_lacks_is_no_constant_of_the_module():
    scan = read("""
        from assertlib import always
        message = "x"
        class Log:
            def append(self, a):
                always(a > 0, self.message)
    """)
    assert codes(scan) == ["AL104"]


def test_a_site_tells_file_function_line_and_column():
    scan = read("""\
        import assertlib as al

        class Wal:
            def append(self, rev):
                return al.always(
                    rev > self.rev,
                    "m",
                )
    """)
    site = only(scan)
    place = (site.file, site.qualname, site.line, site.column)
    assert place == ("mod.py", "Wal.append", 5, 16)
    assert site.condition == "rev > self.rev"


def test_a_column_counts_characters_not_bytes():
    site = only(read("from assertlib import always\nx = 'é'; always(x > 0, 'm')"))
    assert site.column == 10


@pytest.mark.parametrize(
    ("text", "qualname"),
    [
        ("always(a, 'm')", "<module>"),
        ("class C:\n    always(a, 'm')", "C"),
        ("def f(a):\n    always(a, 'm')", "f"),
        ("async def f(a):\n    always(await a, 'm')", "f"),
        ("def f(a):\n    def g():\n        always(a, 'm')\n    g()", "f.g"),
        ("def f(a):\n    return lambda: always(a, 'm')", "f"),
        ("def f(a):\n    return [always(each, 'm') for each in a]", "f"),
        ("def f(a):\n    return {each: 1 for each in a if always(each, 'm')}", "f"),
        ("@decorate\ndef f(a):\n    always(a, 'm')", "f"),
        ("@decorate(always(a, 'm'))\ndef f(a): ...", "<module>"),
        ("def f(a=always(a, 'm')): ...", "<module>"),
        ("class C:\n    @property\n    def p(self):\n        return always(self.a, 'm')", "C.p"),
        ("if always(a, 'm'):\n    pass", "<module>"),
        ("def f(a):\n    assert always(a, 'm')", "f"),
        ("def f(a):\n    while not always(a, 'm'): ...", "f"),
        ("def f(a):\n    match a:\n        case 1 if always(a, 'm'): ...", "f"),
        ("def f(a):\n    return f\"{always(a, 'm')}\"", "f"),
        ("def f(a):\n    g(x=always(a, 'm'))", "f"),
        ("def f(a):\n    yield always(a, 'm')", "f"),
    ],
)
def test_an_assertion_is_found_wherever_an_expression_may_stand(text, qualname):
    assert only(read(f"from assertlib import always\n{text}")).qualname == qualname


@pytest.mark.parametrize(
    "text",
    [
        "def f(always):\n    always(1, 'm')",
        "def f(*, always):\n    always(1, 'm')",
        "def f(*always):\n    always(1, 'm')",
        "f = lambda always: always(1, 'm')",
        "def f():\n    always = print\n    always(1, 'm')",
        "def f():\n    def always(a, b): ...\n    always(1, 'm')",
        "def f(checks):\n    for always in checks:\n        always(1, 'm')",
        "def f(checks):\n    with checks as always:\n        always(1, 'm')",
        "def f(checks):\n    return [always(1, 'm') for always in checks]",
        "def f():\n    from checks import always\n    always(1, 'm')",
        "def f(a):\n    match a:\n        case [always]:\n            always(1, 'm')",
    ],
)
def test_another_thing_called_always_is_no_assertion(text):
    scan = read(f"from assertlib import always\n{text}")
    assert (scan.sites, scan.findings) == ([], [])


def test_a_class_that_has_a_method_always_does_not_hide_the_function_from_its_methods():
    scan = read("""
        from assertlib import always
        class Rules:
            def always(self): ...
            def check(self, a):
                always(a, "m")
    """)
    assert only(scan).qualname == "Rules.check"


def test_a_comprehension_variable_called_always_hides_nothing_outside_of_it():
    scan = read("""
        from assertlib import always
        def f(a, checks):
            every = [always(1, "not an assertion") for always in checks]
            always(a, "m")
    """)
    assert only(scan).message == "m"


def test_a_file_that_does_not_use_assertlib_holds_no_assertion():
    scan = read("def always(a, b): ...\nalways(True, 'm')")
    assert (scan.sites, scan.findings, scan.files) == ([], [], 1)


def test_a_module_of_somebody_elses_is_not_assertlib():
    scan = read("# assertlib\nfrom checks import always\nalways(True, 'm')")
    assert (scan.sites, scan.findings) == ([], [])


def test_sites_stand_in_order_of_file_and_line():
    text = "from assertlib import always\nalways(a, '{0}2')\nalways(b, '{0}1')"
    scan = scan_sources({"b.py": text.format("b"), "a.py": text.format("a")})
    assert [site.message for site in scan.sites] == ["a2", "a1", "b2", "b1"]


def test_an_empty_target_has_no_sites():
    scan = scan_sources({})
    assert (scan.sites, scan.findings, scan.files) == ([], [], 0)


def test_a_site_survives_being_written_and_read_back():
    site = only(read("from assertlib import always\nalways(a > 0, 'm', invariant='kv.x')"))
    assert site_from_dict(site.as_dict()) == site


def test_a_long_condition_is_shown_in_part():
    condition = " and ".join(f"attribute_{number}" for number in range(99))
    site = only(read(f"from assertlib import always\nalways({condition}, 'm')"))
    assert len(site.condition) == 300
    assert site.condition.endswith("…")
