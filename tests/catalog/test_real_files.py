"""What editors and systems leave beside files, and how they encode them."""

from __future__ import annotations

import codecs
import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assertlib._text.utf8 import EncodingError, decoded, unmarked
from assertlib.catalog.check import check
from assertlib.catalog.config import ConfigError, Target, find_config
from assertlib.catalog.defects import read_defects
from assertlib.catalog.drafts import add_draft
from assertlib.catalog.files import read_as_is, read_text
from assertlib.catalog.history import history
from assertlib.catalog.loader import load
from assertlib.catalog.proposals import proposals
from assertlib.catalog.review import read_lock
from assertlib.catalog.scan import scan_target
from assertlib.docgen.pages import differing_pages, foreign_pages, render_pages, write_pages
from assertlib.errors import AssertlibError
from assertlib.evidence.baseline import read_baseline
from assertlib.sim.challenge import read_record

from ..forms import sampled
from .writing import GOOD, HEAD, line_of

CODE = """\
from assertlib import always
assert a  # an order must be kept
always(a, 'm', invariant='kv.durable-ack')
"""
GO = 'package a\nimport "github.com/antithesishq/antithesis-sdk-go/assert"\nfunc f() {\n%s\n}\n'
RUST = 'use antithesis_sdk::prelude::*;\nfn f() { assert_sometimes!(a, "rust"); }\n'
PATCH = "It breaks.\n\nIssue: a#1\nInvariant: kv.durable-ack\n\n--- a/b\n+++ b/b\n"
LOCK = """\
schema = 1
[reviewed."kv.durable-ack"]
revision = 1
promise = "What was acknowledged is there."
"""
FILES = {
    "pyproject.toml": "[tool.assertlib.targets.store]\nsource = ['store']\ndefects = 'defects'\n",
    "catalog/kv.toml": HEAD + GOOD,
    "catalog/renames.toml": 'schema = 1\n[messages]\n"old" = "new"\n',
    "catalog/review.lock": LOCK,
    "catalog/baseline.txt": "m\n",
    "store/log.py": CODE,
    "store/log.go": GO % '    assert.Sometimes(a, "go", nil)',
    "store/log.rs": RUST,
    "defects/late.patch": PATCH,
}


@pytest.fixture(name="project")
def _project(tmp_path):
    return built(tmp_path)


def built(root: Path) -> Path:
    for name, text in FILES.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    write_pages(pages(root), root / "pages")
    return root


def checked(root):
    config = find_config(root)
    return check(config, *config.target())


def pages(root):
    return render_pages(checked(root))


# -- what each loader makes of a directory ------------------------------------------------------


def catalog_of(root):
    found = load([root / "catalog"], root)
    return sorted(found.entries), found.renames.messages, found.findings


def history_of(root):
    git = ["git", "-C", str(root), "-c", "user.name=n", "-c", "user.email=a@b"]
    shutil.rmtree(root / ".git", ignore_errors=True)
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "-f", "catalog"], check=True)
    subprocess.run([*git, "commit", "-qm", "c"], check=True)
    return {name: [each.what for each in life] for name, life in history(root, ["catalog"]).items()}


def scan_of(root):
    found = scan_target(root, find_config(root).target()[1])
    return [site.message for site in found.sites], found.findings, found.files


LOADERS = {
    "the catalog": ("catalog/kv.toml", catalog_of),
    "the history of the catalog": ("catalog/kv.toml", history_of),
    "renames": ("catalog/renames.toml", catalog_of),
    "the review lock": ("catalog/review.lock", lambda root: read_lock(root / "catalog", "catalog")),
    "the baseline": ("catalog/baseline.txt", lambda root: read_baseline(root / "catalog/baseline.txt")),
    "Python": ("store/log.py", scan_of),
    "Go": ("store/log.go", scan_of),
    "Rust": ("store/log.rs", scan_of),
    "proposals": ("store/log.py", lambda root: proposals(root, Target(source=("store",)))),
    "seeded defects": ("defects/late.patch", lambda root: read_defects(root / "defects")),
    "what shows an incident": ("defects/late.patch", lambda root: checked(root).findings),
    "pages that are stale": ("pages/index.md", lambda root: differing_pages(pages(root), root / "pages")),
    "pages of others": ("pages/index.md", lambda root: foreign_pages(root / "pages")),
}  # fmt: skip
HIDDEN = [".#{}", "#{}#", "._{}", ".{}", ".{}.swp", ".{}.new", ".~lock.{}#", ".DS_Store"]
BACKUPS = ["{}~", "{}.bak", "{}.orig", "{}.rej", "{}.swp", "{}.save", "4913"]


def lock_of_emacs(path, _):
    path.symlink_to("me@host.1234:1")


def apple_double(path, _):
    path.write_bytes(b"\0\5\26\7\0\2\0\0Mac OS X        assertlib antithesis \xb0\xff")


def backup(path, original):
    path.write_bytes(original.read_bytes())


def unfinished(path, original):
    path.write_bytes(original.read_bytes()[:-5] + b"\n[(\n")


def directory(path, original):
    path.mkdir()
    (path / original.name).write_bytes(original.read_bytes())


@pytest.mark.parametrize(
    "left", sampled([lock_of_emacs, apple_double, backup, unfinished, directory], every=2)
)
@pytest.mark.parametrize(("file", "look"), LOADERS.values(), ids=LOADERS.keys())
def test_no_loader_sees_what_lies_beside_its_files(project, file, look, left):
    original = project / file
    before = look(project)
    for pattern in HIDDEN if left is directory else HIDDEN + BACKUPS:
        left(original.with_name(pattern.format(original.name)), original)
    assert look(project) == before


@contextlib.contextmanager
def as_ordinary_user():
    """Root may read everything."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


@pytest.fixture(name="open_project")
def _open_project():
    """A project that another user can get to."""
    with tempfile.TemporaryDirectory(prefix="assertlib-files-") as name:
        Path(name).chmod(0o755)
        yield built(Path(name))


@pytest.mark.parametrize("where", ["catalog", "store", "pages", "defects"])
def test_a_hidden_directory_that_cannot_be_read_is_skipped(open_project, where):
    before = checked(open_project).findings
    (open_project / where / ".Trashes").mkdir(mode=0)
    with as_ordinary_user():
        assert checked(open_project).findings == before
        assert differing_pages(pages(open_project), open_project / "pages") == []


def test_a_source_directory_that_cannot_be_read_is_a_finding(open_project):
    (open_project / "store" / "wal").mkdir(mode=0)
    with as_ordinary_user():
        (finding,) = scan_of(open_project)[1]
    assert (finding.file, finding.code) == ("store/wal", "AL109")
    assert finding.message == "cannot be read: Permission denied"


def test_a_source_directory_that_is_excluded_need_not_be_readable(open_project):
    (open_project / "store" / "wal").mkdir(mode=0)
    target = Target(source=("store",), exclude=("store/wal",))
    with as_ordinary_user():
        assert scan_target(open_project, target).findings == []


def test_a_catalog_directory_that_cannot_be_read_is_a_finding(open_project):
    (open_project / "catalog").chmod(0o311)
    with as_ordinary_user():
        found = load([open_project / "catalog"], open_project)
    (finding,) = found.findings
    assert (finding.file, finding.code) == ("catalog", "AL105")
    assert finding.message == "cannot be read: Permission denied"
    assert found.knows("kv.durable-ack")


def test_a_link_to_no_source_file_is_a_finding(project):
    (project / "store" / "wal.py").symlink_to("gone.py")
    (finding,) = scan_of(project)[1]
    assert (finding.file, finding.code) == ("store/wal.py", "AL109")


def test_a_hidden_file_that_a_target_names_is_read(project):
    (project / "store" / ".hidden.py").write_text("import assertlib\nassertlib.reachable('here')\n")
    found = scan_target(project, Target(source=("store/.hidden.py",)))
    assert [site.message for site in found.sites] == ["here"]


# -- byte order marks ---------------------------------------------------------------------------


def lock_text_of(root):
    found = read_lock(root / "catalog", "catalog")
    return found.reviewed, found.findings


def draft_of(root):
    add_draft(root / "catalog", "kv.more", "More")
    return (root / "catalog/kv.toml").read_text(encoding="utf-8")


READERS = {
    "pyproject.toml": lambda root: find_config(root).targets,
    "catalog/kv.toml": lambda root: (catalog_of(root), load([root / "catalog"], root).text),
    "catalog/renames.toml": catalog_of,
    "catalog/review.lock": lock_text_of,
    "catalog/baseline.txt": lambda root: read_baseline(root / "catalog/baseline.txt"),
    "store/log.py": lambda root: (scan_of(root), proposals(root, Target(source=("store",)))),
    "store/log.go": scan_of,
    "store/log.rs": scan_of,
    "defects/late.patch": lambda root: read_defects(root / "defects"),
    "pages/index.md": lambda root: (differing_pages(pages(root), root / "pages"), foreign_pages(root / "pages")),
}  # fmt: skip


def marked(root, name):
    (root / name).write_bytes(codecs.BOM_UTF8 + (root / name).read_bytes())


def test_a_reader_of_each_file_is_tested():
    assert set(READERS) - {"pages/index.md"} == set(FILES)


@pytest.mark.parametrize(("name", "look"), READERS.items(), ids=READERS.keys())
def test_a_byte_order_mark_changes_nothing(project, name, look):
    before = look(project)
    marked(project, name)
    assert look(project) == before


def test_the_history_of_a_catalog_with_a_byte_order_mark_is_read(project):
    before = history_of(project)
    marked(project, "catalog/kv.toml")
    assert history_of(project) == before != {}


def test_a_draft_is_added_to_a_file_with_a_byte_order_mark(tmp_path):
    (tmp_path / "catalog").mkdir()
    (tmp_path / "catalog/kv.toml").write_text(HEAD + GOOD)
    expected = draft_of(tmp_path)
    (tmp_path / "catalog/kv.toml").write_bytes(codecs.BOM_UTF8 + (HEAD + GOOD).encode())
    assert draft_of(tmp_path) == expected


def test_the_track_record_is_read_with_a_byte_order_mark(tmp_path):
    text = "<!-- track record -->\n| **late** | abc |\n<!-- end of track record -->\n"
    (tmp_path / "t.md").write_bytes(codecs.BOM_UTF8 + text.encode())
    assert read_record(tmp_path / "t.md") == {"late": "abc"}


MISTAKES = {
    "catalog/kv.toml": ("ownr = 1\nschema = 1\n", "ownr"),
    "catalog/renames.toml": ("x = 1\nschema = 1\n", "x = 1"),
    "catalog/review.lock": ("x = 1\nschema = 1\n", "x = 1"),
    "store/log.py": ("import assertlib; assertlib.always(a, f'{b}')\n", "assertlib.always"),
    "store/log.go": (GO % '    x := "é"; assert.Always(true, "m", nil)', "assert.Always"),
    "store/log.rs": ('fn f() { antithesis_sdk::assert_always!(true, "m"); }\n', "antithesis_sdk"),
}


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
@pytest.mark.parametrize(("name", "text", "part"), [(k, *v) for k, v in MISTAKES.items()])
def test_positions_count_characters_and_no_byte_order_mark(project, name, text, part, mark):
    (project / name).write_bytes(mark + text.encode())
    first = next(each for each in checked(project).findings if each.file == name)
    assert (first.line, first.column) == line_of(text, part)


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_the_place_of_a_mistake_in_the_configuration_counts_no_mark(tmp_path, mark):
    (tmp_path / "pyproject.toml").write_bytes(mark + b"tool.assertlib.x = 1\n")
    with pytest.raises(ConfigError, match=r"pyproject\.toml:1:1: "):
        find_config(tmp_path)


# -- other encodings ----------------------------------------------------------------------------

ENCODINGS = {
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16",
    "utf-16-be": "UTF-16",
    "utf-32": "UTF-32",
}


@pytest.mark.parametrize(("encoding", "shown"), ENCODINGS.items())
@pytest.mark.parametrize("name", READERS)
def test_another_encoding_is_named_with_file_and_remedy(project, name, encoding, shown):
    (project / name).write_bytes((project / name).read_text().encode(encoding))
    try:
        READERS[name](project)
        said = [str(each) for each in checked(project).findings]
    except AssertlibError as error:
        said = [str(error)]
    assert any(name in each and f"is {shown}; save it as UTF-8" in each for each in said), said


@pytest.mark.parametrize("mark", [codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE])
def test_big_endian_marks_are_known(mark):
    with pytest.raises(EncodingError, match=r"is UTF-\d\d; save it as UTF-8"):
        unmarked(mark + b"\0a")


def test_a_bad_byte_is_told_with_its_line():
    with pytest.raises(EncodingError, match=r"is not UTF-8 \(byte 0xe9 on line 2\); save it as"):
        decoded(b"a\ncaf\xe9\n")


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_text_in_utf_8_is_read_as_it_is(text):
    data = ("# " + text).encode()
    assert decoded(data) == decoded(codecs.BOM_UTF8 + data) == "# " + text


@given(st.binary(max_size=40))
def test_any_bytes_are_text_or_one_clear_error(data):
    try:
        assert decoded(data).encode() == data.removeprefix(codecs.BOM_UTF8)
    except EncodingError as error:
        assert str(error).endswith("; save it as UTF-8")


def test_line_ends_are_kept_or_made_one(tmp_path):
    (tmp_path / "a").write_bytes(codecs.BOM_UTF8 + b"a\r\nb\rc\n")
    assert read_text(tmp_path / "a") == "a\nb\nc\n"
    assert read_as_is(tmp_path / "a") == "a\r\nb\rc\n"
    assert read_as_is(tmp_path / "gone") == ""
