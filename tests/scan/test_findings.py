"""What the scanner complains about, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assertlib.catalog.config import Target
from assertlib.catalog.rules import RULES
from assertlib.catalog.scan import scan_sources, scan_target

from .reading import codes, found, lines, only, read

ALL = "from assertlib import *\nfrom assertlib import Invariant\n"


def test_two_assertions_with_one_message_are_told_at_the_second():
    scan = scan_sources(
        {
            "a.py": "from assertlib import always\nalways(a, 'm')",
            "b.py": "from assertlib import always\n\nalways(b, 'm')",
        }
    )
    (finding,) = scan.findings
    assert (finding.code, finding.file, finding.line) == ("AL103", "b.py", 3)
    assert "'m'" in finding.message
    assert "a.py:2" in finding.message


def test_a_third_assertion_with_one_message_is_told_too():
    scan = read(ALL + "always(a, 'm')\nalways(b, 'm')\nalways(c, 'm')")
    assert codes(scan) == ["AL103", "AL103"]


def test_two_assertions_with_one_message_on_one_line_are_told():
    assert codes(read(ALL + "always(a, 'm'); always(b, 'm')")) == ["AL103"]


def test_one_message_of_two_kinds_is_told():
    scan = read(ALL + "always(a, 'm')\nsometimes(a, 'm')")
    assert codes(scan) == ["AL106"]
    assert "sometimes" in scan.findings[0].message
    assert "always" in scan.findings[0].message


def test_messages_that_differ_in_case_are_two_messages():
    assert codes(read(ALL + "always(a, 'm')\nalways(b, 'M')")) == []


NO_LITERAL = [
    "always(a, f'{b}')",
    "always(a, f'key {b!r} of {c}')",
    "always(a, name)",
    "always(a, names.first)",
    "always(a, 'one' if b else 'other')",
    "always(a, 'of %s' % b)",
    "always(a, 'of {}'.format(b))",
    "always(a, 'of ' + b)",
    "always(a, str(b))",
    "always(a, b'm')",
    "always(a, None)",
    "always(a, 7)",
    "always(a)",
    "always()",
    "always((a, 'm'))",
    "always(*arguments)",
    "always(a, *arguments)",
    "always(**arguments)",
    "always(a, **arguments)",
    "always(condition=a, message=name)",
    "reachable()",
    "reachable(name)",
    "always_if(a, lambda: b, name)",
    "sometimes_both(a, name)",
    "sometimes_each(a, name, expected=('x',))",
    "always_greater_than(a, b, name)",
    "always_greater_than(a, 'm')",
    "always_some({'a': a}, name)",
    "within(1, name)",
    "Invariant('kv.x').always(a, name)",
    "Invariant('kv.x').reachable()",
    "Invariant('kv.x').declare_always(name)(a)",
    "Invariant('kv.x').declare_always()(a)",
]


@pytest.mark.parametrize("call", NO_LITERAL)
def test_a_message_that_is_no_literal_is_told(call):
    scan = read(ALL + call)
    assert codes(scan) == ["AL104"]
    assert scan.sites == []
    assert lines(scan, "AL104") == [3]


def test_a_message_that_is_a_parameter_is_told():
    scan = read(ALL + "def check(a, message):\n    always(a, message)")
    assert codes(scan) == ["AL104"]


def test_a_message_that_is_assigned_twice_is_told():
    assert codes(read(ALL + "M = 'm'\nM = 'n'\nalways(a, M)")) == ["AL104"]


def test_a_message_that_is_added_to_is_told():
    assert codes(read(ALL + "M = 'm'\nM += 'n'\nalways(a, M)")) == ["AL104"]


def test_a_message_of_a_loop_is_told():
    assert codes(read(ALL + "for m in ('m', 'n'):\n    always(a, m)")) == ["AL104"]


def test_a_constant_that_a_function_changes_is_told():
    text = "M = 'm'\ndef change():\n    global M\n    M = 'n'\nalways(a, M)"
    assert codes(read(ALL + text)) == ["AL104"]


NONLOCAL = {
    "before it is used": """
        def outer(a):
            m = "m"
            def change():
                nonlocal m
                m = "n"
            change()
            always(a, m)
    """,
    "before the variable is bound": """
        def outer(a):
            def change():
                nonlocal m
                m = "n"
            m = "m"
            change()
            always(a, m)
    """,
    "two functions further in": """
        def outer(a):
            m = "m"
            def middle():
                def change():
                    nonlocal m
                    m = "n"
                change()
            middle()
            always(a, m)
    """,
    "through another nonlocal": """
        def outer(a):
            m = "m"
            def middle():
                nonlocal m
                def change():
                    nonlocal m
                    m = "n"
                change()
            middle()
            always(a, m)
    """,
    "in the function that uses it": """
        def outer(a):
            m = "m"
            def change():
                nonlocal m
                always(a, m)
                m += "n"
            change()
    """,
}


@pytest.mark.parametrize("text", NONLOCAL.values(), ids=NONLOCAL.keys())
def test_a_local_variable_that_an_inner_function_changes_is_told(text):
    assert codes(read(ALL + dedent(text))) == ["AL104"]


def test_a_variable_of_an_inner_function_of_the_same_name_is_another_one():
    text = """
        def outer(a):
            m = "m"
            def inner():
                m = "n"
            always(a, m)
    """
    assert codes(read(ALL + dedent(text))) == []


def test_a_global_that_a_function_around_also_has_as_its_own_is_the_one_of_the_module():
    text = """
        M = "of the module"
        def outer(a):
            M = "of the function"
            def inner():
                global M
                def innermost():
                    always(a, M)
    """
    assert codes(read(ALL + dedent(text))) == ["AL104"]


def test_nonlocal_without_a_variable_is_no_error_of_the_scan():
    assert codes(read(ALL + "def f(a):\n    nonlocal m\n    m = 'm'\n    always(a, m)")) == []


def test_a_constant_that_stands_for_itself_is_told():
    assert codes(read(ALL + "M = M\nalways(a, M)")) == ["AL104"]


CONSTANTS = [
    "always(True, 'm')",
    "always(False, 'm')",
    "always(None, 'm')",
    "always(1, 'm')",
    "always('text', 'm')",
    "sometimes(True, 'm')",
    "sometimes(condition=True, message='m')",
    "always_or_unreachable(True, 'm')",
    "sometimes_both(True, 'm')",
    "always_if(True, lambda: a, 'm')",
    "Invariant('kv.x').always(True, 'm')",
    "Invariant('kv.x').declare_always('m')(True)",
    "always(lambda: True, 'm')",
]


@pytest.mark.parametrize("call", CONSTANTS)
def test_a_constant_condition_is_told(call):
    assert codes(read(ALL + call)) == ["AL107"]


@pytest.mark.parametrize(
    "call", ["always(not DEBUG, 'm')", "always(DEBUG, 'm')", "always_greater_than(a, 1, 'm')"]
)
def test_a_condition_that_may_change_is_fine(call):
    assert codes(read(ALL + "DEBUG = True\n" + call)) == []


CLASS = """
from functools import cached_property
class Log:
    def is_sorted(self): ...
    async def fetch(self): ...
    @property
    def ready(self): ...
    @cached_property
    def known(self): ...
    @staticmethod
    def still(): ...
    def check(self, a):
        def local(): return a
        def picky(b): return b
        def optional(b=a): return b
        def positional(b, /): return b
        def named(*, b): return b
        def steps(): yield a
        def outer():
            def inner(): yield a
            return bool(inner())
        async def later(): return a
        {call}
def is_sorted(): ...
async def fetch(): ...
"""

UNCALLED = [
    "always(self.is_sorted, 'm')",
    "always(self.fetch, 'm')",
    "always(self.still, 'm')",
    "always(Log.is_sorted, 'm')",
    "always(Log().is_sorted, 'm')",
    "always(is_sorted, 'm')",
    "always(fetch, 'm')",
    "always(later, 'm')",
    "always(picky, 'm')",
    "always(positional, 'm')",
    "always(named, 'm')",
    "always(steps, 'm')",
    "sometimes(is_sorted, 'm')",
    "sometimes_both(is_sorted, 'm')",
    "always(condition=is_sorted, message='m')",
    "Invariant('kv.x').always(is_sorted, 'm')",
    "Invariant('kv.x').declare_always('m')(is_sorted)",
    "always_if(is_sorted, lambda: a, 'm')",
    "always_if(a, self.is_sorted, 'm')",
    "always_if(a, is_sorted, 'm')",
    "always_if(a, later, 'm')",
    "always_some({'sorted': self.is_sorted}, 'm')",
]
COROUTINES = [
    "always(self.fetch(), 'm')",
    "always(fetch(), 'm')",
    "always(later(), 'm')",
    "always(lambda: fetch(), 'm')",
    "always_if(fetch(), lambda: a, 'm')",
    "always_if(a, lambda: self.fetch(), 'm')",
]
CALLED = [
    "always(self.ready, 'm')",
    "always(self.known, 'm')",
    "always(local, 'm')",
    "always(optional, 'm')",
    "always(outer, 'm')",
    "always(lambda: a, 'm')",
    "always(self.is_sorted(), 'm')",
    "always(self.unknown, 'm')",
    "always(local(), 'm')",
    "always_if(local, local, 'm')",
    "always_if(a, lambda: self.is_sorted(), 'm')",
    "always_some({'sorted': self.is_sorted()}, 'm')",
]


@pytest.mark.parametrize("call", UNCALLED)
def test_a_function_that_is_not_called_is_told(call):
    assert codes(read(ALL + CLASS.format(call=call))) == ["AL108"]


@pytest.mark.parametrize("call", COROUTINES)
def test_a_coroutine_that_is_not_awaited_is_told(call):
    assert codes(read(ALL + CLASS.format(call=call))) == ["AL108"]


@pytest.mark.parametrize("call", CALLED)
def test_a_condition_that_is_a_value_or_a_local_function_is_fine(call):
    assert codes(read(ALL + CLASS.format(call=call))) == []


def test_an_awaited_coroutine_is_fine():
    text = "async def fetch(): ...\nasync def f():\n    always(await fetch(), 'm')"
    assert codes(read(ALL + text)) == []


def test_an_imported_function_that_is_not_called_is_told():
    scan = read(
        "from assertlib import always\nfrom .other import is_sorted\nalways(is_sorted, 'm')",
        other="import assertlib\ndef is_sorted(): ...",
    )
    assert codes(scan) == ["AL108"]


def test_a_syntax_error_is_told_with_its_line():
    scan = read("from assertlib import always\nalways(a, 'm')\ndef broken(:\n")
    (finding,) = scan.findings
    assert (finding.code, finding.file, finding.line) == ("AL109", "mod.py", 3)
    assert scan.sites == []


def test_a_broken_file_does_not_hide_the_others():
    scan = scan_sources(
        {
            "a.py": "import assertlib\n(",
            "b.py": "from assertlib import always\nalways(a, 'm')",
        }
    )
    assert codes(scan) == ["AL109"]
    assert found(scan) == [("always", "m", None)]


@pytest.mark.parametrize(
    "data",
    [
        b"import assertlib\n\xff\xfe",
        b"import assertlib\nx = '\xe9'",
        b"import assertlib\n\0",
        b"# coding: nonsense\nimport assertlib",
        b"\xef\xbb\xbf# coding: latin-1\nimport assertlib",
        b"import assertlib\nx = " + b"(" * 500 + b")" * 500,
        b"import assertlib\nx = '\\N{NO SUCH NAME}'",
        b"import assertlib\n" + b"if x:\n" * 5,
    ],
)
def test_a_file_that_is_no_python_is_told(tmp_path, data):
    (tmp_path / "bad.py").write_bytes(data)
    scan = scan_target(tmp_path, Target(source=(".",)))
    assert codes(scan) == ["AL109"]
    assert scan.findings[0].file == "bad.py"
    assert scan.files == 1


@pytest.mark.parametrize("terms", [100, 400, 900])
def test_a_deeply_nested_expression_never_ends_in_a_traceback(terms):
    deep = " + ".join(["x"] * terms)
    scan = read(f"from assertlib import always\ny = {deep}\nalways(y > 0, 'm')")
    assert found(scan) == [("always", "m", None)] or codes(scan) == ["AL109"]


@pytest.mark.parametrize("elifs", [50, 400, 900])
def test_a_long_chain_of_elifs_never_ends_in_a_traceback(elifs):
    chain = "if x == 0: ...\n" + "".join(f"elif x == {n}: ...\n" for n in range(elifs))
    scan = read(f"from assertlib import always\n{chain}\nalways(x > 0, 'm')")
    assert found(scan) == [("always", "m", None)] or codes(scan) == ["AL109"]


def test_other_encodings_are_read(tmp_path):
    text = "# coding: latin-1\nfrom assertlib import always\nalways(a, 'é')"
    (tmp_path / "mod.py").write_bytes(text.encode("latin-1"))
    (tmp_path / "bom.py").write_bytes(
        b"\xef\xbb\xbffrom assertlib import always\r\nalways(a, 'crlf')\r\n"
    )
    scan = scan_target(tmp_path, Target(source=(".",)))
    assert scan.findings == []
    assert [site.message for site in scan.sites] == ["crlf", "é"]


def test_a_source_that_does_not_exist_is_told(tmp_path):
    scan = scan_target(tmp_path, Target(source=("src", "lib/mod.py")))
    assert [(finding.code, finding.file) for finding in scan.findings] == [
        ("AL110", "lib/mod.py"),
        ("AL110", "src"),
    ]


VALUES = [
    "register(always)",
    "checks = [always]",
    "checks = {'a': always}",
    "checks = (always, 1)",
    "partial(always, True)",
    "f = partial(always, message='m')",
    "def f():\n    return always",
    "f = lambda: always",
    "def f(check=always): ...",
    "def f(always=always): ...",
    "check = always if a else print",
    "register(check=always)",
    "register(*[always])",
    "@always\ndef f(): ...",
    "def f():\n    yield always",
    "map(always, values, messages)",
    "checks['a'] = always",
    "store.check = always",
    "first, second = always, print",
    "register(Invariant('kv.x').always)",
    "import assertlib\nregister(assertlib.always)",
]


@pytest.mark.parametrize("text", VALUES)
def test_an_assertion_that_is_handed_around_is_told(text):
    scan = read(f"from functools import partial\n{ALL}{text}")
    assert "AL111" in codes(scan)
    assert lines(scan, "AL111")[0] >= 4


def test_a_bound_assertion_that_is_handed_around_is_told():
    scan = read(ALL + "check = Invariant('kv.x').declare_always('m')\ncheck(a)\nregister(check)")
    assert codes(scan) == ["AL111"]


@pytest.mark.parametrize(
    "text",
    [
        "def f(check: always): ...",
        "def f() -> always: ...",
        "def f(*checks: always, **more: list[always]) -> dict[str, always]: ...",
        "check: always = None",
        "class C:\n    check: list[always]",
        "__all__ = ['always']",
        "'always'",
        "# always",
        "class C:\n    def always(self): ...\n    def f(self): return self.always",
        "def f(always): return always",
    ],
)
def test_a_mention_that_is_no_use_is_fine(text):
    scan = read(ALL + text)
    assert (scan.sites, scan.findings) == ([], [])


IDS = [
    "Invariant(name).always(a, 'm')",
    "X = Invariant(f'kv.{name}')\nX.always(a, 'm')",
    "Invariant().always(a, 'm')",
    "Invariant(*names).always(a, 'm')",
    "Invariant(name).declare_always('m')(a)",
    "always(a, 'm', invariant=name)",
    "always(a, 'm', invariant=f'kv.{name}')",
    "always(a, 'm', invariant=7)",
    "always(a, 'm', invariant=Invariant('kv.x'))",
]


@pytest.mark.parametrize("text", IDS)
def test_the_id_of_an_invariant_must_be_a_literal(text):
    scan = read(ALL + text)
    assert codes(scan) == ["AL114"]
    assert found(scan) == [("always", "m", "")]


def test_an_invariant_with_a_built_id_is_told_where_it_is_made():
    scan = read("from assertlib import Invariant\nX = Invariant(name)")
    assert codes(scan) == ["AL114"]


def test_no_invariant_may_be_said():
    assert only(read(ALL + "always(a, 'm', invariant=None)")).invariant is None


def test_every_finding_is_a_known_rule_with_a_remedy():
    text = "\n".join([*NO_LITERAL, *CONSTANTS, *IDS, *VALUES, "sometimes_each(a, 'e')"])
    scan = read(f"from functools import partial\n{ALL}{text}")
    assert len(scan.findings) > 60
    for finding in scan.findings:
        assert finding.code in RULES
        assert finding.remedy
        assert str(finding).startswith(f"mod.py:{finding.line}:{finding.column}: {finding.code} ")


def test_nothing_is_ever_imported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "side_effect.py").write_text(
        "import pathlib\nfrom assertlib import always\n"
        "pathlib.Path('trace').write_text('imported')\n"
        "raise SystemExit(3)\nalways(a, 'm')\n"
    )
    (tmp_path / "user.py").write_text(
        "from side_effect import *\nfrom assertlib import always\nalways(b, 'n')\n"
    )
    scan = scan_target(tmp_path, Target(source=(".",)))
    assert [site.message for site in scan.sites] == ["m", "n"]
    assert not Path("trace").exists()


@given(
    st.lists(
        st.sampled_from(
            ["always", "(", ")", "'m'", ",", "\n", "    ", "def f", ":", "=", "Invariant", ".",
             "class C", "lambda", "*", "**", "self", "a", "declare_always", "wrapper", "@", "[",
             "]", "for a in", "if", "f'{a}'", "import", "from", "assertlib", "sometimes_each",
             "expected", "async ", "await ", "global always", "return ", "é", "\0", "\r"]
        ),
        max_size=30,
    )
)  # fmt: skip
def test_no_source_ends_in_a_traceback(tokens):
    text = ALL + "".join(tokens)
    scan = read(text)
    assert scan.files == 1
    assert all(finding.code in RULES for finding in scan.findings)
