"""
Assertions in Go and Rust: sites and findings as in Python.
"""

import sys

import pytest

from assertlib.catalog.scan import scan_sources
from assertlib.catalog.scan.references import PRIMITIVES
from assertlib.catalog.wire import guidance_of

from ..evidence.projects import Project

GO = """
package store

import (
    "fmt"

    "github.com/antithesishq/antithesis-sdk-go/assert"
    "go.etcd.io/etcd/client/pkg/v3/verify"
)

// gofail: var top struct{}

type Store[K comparable] struct{}

func (s *Store[K]) Put(rev int64, key K) error {
    // gofail: var beforeCommit struct{}
    // gofail: labelled:
    assert.Always(rev > 0 /* not zero */, "revision is positive", map[string]any{"rev": rev})
    go func() {
        assert.Reachable("in a closure", nil)
    }()
    if rev < 0 {
        // gofail: var whatToSay string
        assert.Unreachable("no " + `way \\n here`, nil)
    }
    return fmt.Errorf("x")
}

func check(a, b int) {
    assert.AlwaysOrUnreachable(a == b, "optional", nil)
    assert.Sometimes(a > b, "tab\\tand \\u00e9", nil)
    assert.AlwaysGreaterThanOrEqualTo(a, b, "a is not less", nil)
    assert.SometimesAll(map[string]bool{"a": a > 0, "b": b > 0}, "both", nil)
    verify.Assert(a <= b, "a %d is behind b %d", a, b)
    verify.Verify("views agree", func() (bool, map[string]any) { return a == b, nil })
    verify.Verify(func() { verify.Assert(b > 0, "b is positive") })
    other.Always(a > b, "not ours", nil)
    Always(a > b, "not ours either", nil)
}
"""

RUST = """
use antithesis_sdk::prelude::*;

impl<T: Clone> Store<T> {
    fn put(&self, rev: i64, key: T) {
        assert_always!(rev > 0 && f(rev, 1), "revision is positive", &json!({"rev": rev}));
        tokio::select! {
            _ = done => { antithesis_sdk::assert_reachable!("in another macro"); }
        }
    }
}

fn check(a: i64, b: i64) {
    assert_always_or_unreachable!(a == b, "optional");
    assert_unreachable!(r#"no "way" here"#, &json!({}));
    assert_sometimes!(a > b, "tab\\tand \\u{e9}");
    assert_always_less_than!(a, b, "a is less", &json!({}));
    assert_sometimes_all!({a: a > 0, b: b > 0}, "both", &json!({}));
    assert!(a > b, "not ours");
}
"""


def sites(**sources):
    """What is found, by message."""
    named = {name.replace("_", "."): text for name, text in sources.items()}
    scan = scan_sources(named)
    assert scan.findings == [], scan.findings
    return {site.message: site for site in scan.sites}


def codes(name, text):
    return [(each.line, each.code) for each in scan_sources({name: text}).findings]


def test_every_call_in_go_is_a_site():
    found = sites(store_go=GO)
    assert {
        message: (site.kind.name, site.form, site.qualname) for message, site in found.items()
    } == {
        "top": ("reachable", "gofail", "<module>"),
        "beforeCommit": ("reachable", "gofail", "Store.Put"),
        "whatToSay": ("reachable", "gofail", "Store.Put"),
        "revision is positive": ("always", "always", "Store.Put"),
        "in a closure": ("reachable", "reachable", "Store.Put"),
        "no way \\n here": ("unreachable", "unreachable", "Store.Put"),
        "optional": ("always_or_unreachable", "always_or_unreachable", "check"),
        "tab\tand é": ("sometimes", "sometimes", "check"),
        "a is not less": ("always", "always_greater_than_or_equal_to", "check"),
        "both": ("sometimes", "sometimes_all", "check"),
        "a %d is behind b %d": ("always", "verify", "check"),
        "views agree": ("always", "verify", "check"),
        "b is positive": ("always", "verify", "check"),
    }
    positive = found["revision is positive"]
    assert (positive.file, positive.line, positive.owner) == ("store.go", 18, "Store")
    assert positive.condition == "rev > 0"
    assert found["a is not less"].condition == "a, b"
    assert guidance_of(found["a is not less"].form) == ("numeric", False)


def test_every_macro_in_rust_is_a_site():
    found = sites(store_rs=RUST)
    assert {
        message: (site.kind.name, site.form, site.qualname) for message, site in found.items()
    } == {
        "revision is positive": ("always", "always", "Store.put"),
        "in another macro": ("reachable", "reachable", "Store.put"),
        "optional": ("always_or_unreachable", "always_or_unreachable", "check"),
        'no "way" here': ("unreachable", "unreachable", "check"),
        "tab\tand é": ("sometimes", "sometimes", "check"),
        "a is less": ("always", "always_less_than", "check"),
        "both": ("sometimes", "sometimes_all", "check"),
    }
    assert found["revision is positive"].condition == "rev > 0 && f(rev, 1)"
    assert found["revision is positive"].line == 6


@pytest.mark.parametrize("form", PRIMITIVES)
def test_every_form_is_known_in_both_languages(form):
    words = form.split("_")
    relation = any(each in form for each in ("than", "to"))
    before = "a, b, " if relation else "" if "reach" in form and "or" not in form else "c, "
    go = 'package s\nimport "github.com/antithesishq/antithesis-sdk-go/assert"\nfunc f() {\n'
    go += f'assert.{"".join(map(str.title, words))}({before}"m", nil)\n}}\n'
    rust = f'use antithesis_sdk::*;\nfn f() {{ assert_{form}!({before}"m"); }}\n'
    for name, text in (("s_go", go), ("s_rs", rust)):
        assert sites(**{name: text})["m"].form == form


HEAD = 'package s\nimport sdk "github.com/antithesishq/antithesis-sdk-go/assert"\nfunc f() {\n'


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("sdk.Always(ok, name, nil)", [(4, "AL104")]),
        ('sdk.Always(ok, fmt.Sprintf("%d", 1), nil)', [(4, "AL104")]),
        ('sdk.Always(ok, "a" + name, nil)', [(4, "AL104")]),
        ("sdk.Reachable()", [(4, "AL104")]),
        ('sdk.Sometimes(true, "m", nil)', [(4, "AL107")]),
        ('sdk.Always(a, "m", nil)\nsdk.Always(b, "m", nil)', [(5, "AL103")]),
        ('sdk.Always(a, "m", nil)\nsdk.Sometimes(a, "m", nil)', [(5, "AL106")]),
        ('sdk.Always(a, "m", nil', [(4, "AL109")]),
        ('sdk.Always(a "m" @@ nil)', [(4, "AL109")]),
        ('sdk.Always(a, "m, nil)', [(4, "AL109")]),
        ('sdk.Always(a, \0 "m", nil)', [(4, "AL109")]),
    ],
    ids=str,
)
def test_what_cannot_be_catalogued_in_go_is_a_finding(body, expected):
    assert codes("s.go", f"{HEAD}{body}\n}}\n") == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("assert_always!(ok, name);", [(3, "AL104")]),
        ('assert_always!(ok, concat!("a", "b"));', [(3, "AL104")]),
        ("assert_reachable!();", [(3, "AL104")]),
        ('assert_sometimes!(true, "m");', [(3, "AL107")]),
        ('assert_always!(a, "m");\nassert_always!(b, "m");', [(4, "AL103")]),
        ('assert_always!(a, "m");\nassert_sometimes!(a, "m");', [(4, "AL106")]),
    ],
    ids=str,
)
def test_what_cannot_be_catalogued_in_rust_is_a_finding(body, expected):
    text = f"use antithesis_sdk::*;\nfn f() {{\n{body}\n}}\n"
    assert codes("s.rs", text) == expected


def test_one_message_in_two_languages_is_a_finding():
    python = 'from assertlib import always\nalways(x, "revision is positive")\n'
    found = scan_sources({"a.py": python, "store.go": GO}).findings
    assert [each.code for each in found] == ["AL103"]


def test_a_fingerprint_survives_formatting_and_not_a_change():
    def fingerprint(condition):
        text = f'{HEAD}sdk.Always({condition}, "m", nil)\n}}\n'
        return sites(s_go=text)["m"].fingerprint

    assert fingerprint("a > 0") == fingerprint("a\t>\n 0") == fingerprint("a > /* why */ 0")
    assert len({fingerprint(each) for each in ("a > 0", "a >= 0", "0 > a", "b > 0", "a > 1")}) == 5


@pytest.mark.parametrize(
    ("literal", "message"),
    [
        (r'"\xe4\xb8\x96"', "世"),
        (r'"\344\270\226"', "世"),
        (r'"\u4e16\U0001f389"', "世🎉"),
        (r'"a" + /* c */ "b"', "ab"),
        (r'("a" +' + "\n" + r'"b")', "ab"),
        (r'"quote \" and \\ and \t"', 'quote " and \\ and \t'),
    ],
    ids=str,
)
def test_a_literal_in_go_says_what_go_reads(literal, message):
    assert list(sites(s_go=f"{HEAD}sdk.Always(a, {literal}, nil)\n}}\n")) == [message]


@pytest.mark.parametrize(
    ("literal", "message"),
    [
        (r'"\012"', "\x0012"),
        (r'"a\\u{41}"', "a\\u{41}"),
        (r'"\u{1F389}\x41"', "🎉A"),
        ('"two \\\n      lines"', "two lines"),
        ('"two\nlines"', "two\nlines"),
        ('r##"a"#b"##', 'a"#b'),
    ],
    ids=str,
)
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=repr)
def test_a_literal_in_rust_says_what_rust_reads(literal, message, end):
    text = f"use antithesis_sdk::*;\nfn f() {{ assert_always!(a, {literal}); }}\n"
    assert list(sites(s_rs=text.replace("\n", end))) == [message]


@pytest.mark.parametrize(
    "condition",
    ["x.iter().collect::<HashMap<_, _>>().len() > 0", "a as HashMap<u8, u8> == b", 'a == "m, n"'],
)
def test_what_looks_like_more_arguments_hides_no_message(condition):
    text = f'use antithesis_sdk::*;\nfn f() {{ assert_always!({condition}, "m"); }}\n'
    assert sites(s_rs=text)["m"].condition == condition


def test_a_call_over_several_lines_and_a_generic_receiver_are_seen():
    text = HEAD.replace("func f()", "func (s *S[map[K]V, V]) f()")
    (site,) = sites(s_go=f'{text}sdk.\n  Always(\n a,\n "m",\n nil)\n}}\n').values()
    assert (site.message, site.qualname) == ("m", "S.f")


def test_packages_called_verify_of_other_people_are_none_of_ours():
    text = 'package s\nimport "example.com/x/verify"\nfunc f() { verify.Assert(t, ok) }\n'
    assert sites(s_go=text) == {}


def test_a_block_of_checks_without_a_message_is_no_finding():
    text = 'package s\nimport "go.etcd.io/etcd/client/pkg/v3/verify"\nfunc f() { verify.Verify(check) }\n'
    assert sites(s_go=text) == {}


def test_a_package_of_go_may_be_called_target():
    assert scan_sources({"target/s.go": GO}).sites


@pytest.mark.parametrize("name", ["vendor/x/s.go", "target/debug/s.rs"])
def test_what_others_wrote_or_a_compiler_is_not_read(name):
    assert scan_sources({name: GO if name.endswith("go") else RUST}).sites == []


def test_a_file_of_any_bytes_is_no_traceback():
    for data in ("\0\udcff"[:1] * 50, "package\n" + "(" * 5_000, "// antithesis \u2028"):
        for name in ("a.go", "a.rs"):
            scan_sources({name: f"antithesis gofail: verify.\n{data}"})


def test_deeply_nested_source_is_read():
    deep = "(" * 3_000 + "a" + ")" * 3_000
    assert len(sites(s_go=f'{HEAD}sdk.Always({deep} > 0, "m", nil)\n}}\n')) == 1


def test_a_repository_of_several_languages_costs_no_other_project_anything(tmp_path):
    program = "import sys\nfrom assertlib.catalog.scan import scan_sources\n"
    program += (
        "scan_sources({'a.py': 'x = 1', 'b.go': 'package b'})\nprint('tree_sitter' in sys.modules)"
    )
    assert Project(tmp_path).execute(sys.executable, "-c", program).stdout == "False\n"


def test_a_target_may_hold_several_languages(tmp_path):
    project = Project(tmp_path)
    project.write(
        "store/store.go", GO.replace("revision is positive", "revision in go is positive")
    )
    path = project.root / "catalog" / "kv.toml"
    path.write_text(
        path.read_text()
        + '\n[[assertion]]\nmessage = "revision in go is positive"\ninvariant = "kv.positive"\n'
    )
    done = project.cli("check")
    assert "store/store.go:18:5" not in done.stdout + done.stderr
    assert "AL205" in done.stdout
    assert "[[assertion]]" in done.stdout
    shown = project.cli("catalog", "show", "kv.positive").stdout
    assert "store/store.go" in shown
    exported = project.cli("catalog", "export", "--antithesis").stdout
    assert '"class": "Store"' in exported


def test_without_the_extra_one_line_names_it(tmp_path):
    project = Project(tmp_path)
    project.write("store/store.go", GO)
    blocked = "import sys; sys.modules['tree_sitter_go'] = None\n"
    project.write("sitecustomize.py", blocked)
    done = project.cli("check", PYTHONPATH=str(tmp_path))
    (line,) = [each for each in done.stdout.splitlines() if "AL120" in each]
    assert "store/store.go" in line
    assert "assertlib-sdk[polyglot]" in line
