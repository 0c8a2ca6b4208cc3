"""Real trees of files: packages, re-exports, what is left out."""

from __future__ import annotations

import pytest

from assertlib.catalog.config import Target
from assertlib.catalog.scan import scan_target

from .reading import codes, found, tree

NAMES = """
    from assertlib import Invariant, always, wrapper
    REV = Invariant("kv.rev")
    never_back = REV.declare_always("bound")
    @wrapper
    def check(ok, message):
        always(ok, message, invariant="kv.rev")
"""
BOTH = [("always", "bound", "kv.rev"), ("always", "m", "kv.rev")]

IMPORTS = {
    "absolute": "from store.names import REV, never_back\nREV.always(a, 'm')\nnever_back(a)",
    "relative": "from .names import REV, never_back\nREV.always(a, 'm')\nnever_back(a)",
    "module": "import store.names\nstore.names.REV.always(a, 'm')\nstore.names.never_back(a)",
    "module alias": "import store.names as n\nn.REV.always(a, 'm')\nn.never_back(a)",
    "from the package": "from store import names\nnames.check(a, 'm')\nnames.never_back(a)",
    "from here": "from . import names\nnames.check(a, 'm')\nnames.never_back(a)",
    "renamed": "from .names import check as c, never_back as n\nc(a, 'm')\nn(a)",
    "star": "from .names import *\nREV.always(a, 'm')\nnever_back(a)",
    "in a function": "def f(a):\n    from .names import check, never_back\n"
    "    check(a, 'm')\n    never_back(a)",
}


@pytest.mark.parametrize("text", IMPORTS.values(), ids=IMPORTS.keys())
def test_imports_are_followed_inside_a_package(tmp_path, text):
    scan = tree(tmp_path, store__init="", store__names=NAMES, store__log=text)
    assert scan.findings == []
    assert sorted(found(scan)) == BOTH
    assert {site.file for site in scan.sites} == {"store/log.py"}


@pytest.mark.parametrize("text", IMPORTS.values(), ids=IMPORTS.keys())
def test_imports_are_followed_below_a_src_directory(tmp_path, text):
    scan = tree(tmp_path, src__store__init="", src__store__names=NAMES, src__store__log=text)
    assert scan.findings == []
    assert sorted(found(scan)) == BOTH


@pytest.mark.parametrize("text", IMPORTS.values(), ids=IMPORTS.keys())
def test_imports_are_followed_in_a_package_without_init(tmp_path, text):
    scan = tree(tmp_path, store__names=NAMES, store__log=text)
    assert scan.findings == []
    assert sorted(found(scan)) == BOTH


def test_relative_imports_climb(tmp_path):
    scan = tree(
        tmp_path,
        store__init="",
        store__names=NAMES,
        store__wal__init="",
        store__wal__log="from ..names import REV, never_back\nREV.always(a, 'm')\nnever_back(a)",
    )
    assert scan.findings == []
    assert sorted(found(scan)) == BOTH


REEXPORTS = {
    "by name": ("from .names import REV, never_back", "REV", "never_back"),
    "under another name": ("from .names import REV as R1, never_back as nb", "R1", "nb"),
    "by star": ("from .names import *", "REV", "never_back"),
    "by assignment": ("from . import names\nR2 = names.REV\nnb = names.never_back", "R2", "nb"),
}


@pytest.mark.parametrize("user", ["from . import {}, {}", "from store import {}, {}"])
@pytest.mark.parametrize("names", REEXPORTS.values(), ids=REEXPORTS.keys())
def test_re_exports_are_followed(tmp_path, names, user):
    text, invariant, bound = names
    scan = tree(
        tmp_path,
        store__init=text,
        store__names=NAMES,
        store__log=f"{user.format(invariant, bound)}\n{invariant}.always(a, 'm')\n{bound}(a)",
    )
    assert scan.findings == []
    assert sorted(found(scan)) == BOTH


def test_assertlib_re_exported_by_the_store_is_assertlib(tmp_path):
    scan = tree(
        tmp_path,
        store__init="",
        store__check="from assertlib import Invariant, always",
        store__log="from .check import Invariant, always\n"
        "always(a, 'm')\nInvariant('kv.x').always(a, 'n')",
    )
    assert scan.findings == []
    assert found(scan) == [("always", "m", None), ("always", "n", "kv.x")]


def test_assertlib_re_exported_by_the_package_is_assertlib(tmp_path):
    scan = tree(
        tmp_path,
        store__init="from assertlib import always",
        store__log="from . import always\nalways(a, 'm')",
    )
    assert found(scan) == [("always", "m", None)]


def test_two_modules_of_one_name_are_told_apart(tmp_path):
    scan = tree(
        tmp_path,
        one__init="",
        one__names="from assertlib import Invariant\nX = Invariant('kv.one')",
        one__log="from .names import X\nX.always(a, 'in one')",
        two__init="",
        two__names="from assertlib import Invariant\nX = Invariant('kv.two')",
        two__log="from .names import X\nX.always(a, 'in two')",
    )
    assert found(scan) == [("always", "in one", "kv.one"), ("always", "in two", "kv.two")]


def test_modules_that_import_each_other_are_read(tmp_path):
    scan = tree(
        tmp_path,
        store__init="",
        store__one="from assertlib import *\nfrom .two import *\nfrom .two import Y as X\n"
        "always(a, X)",
        store__two="from assertlib import *\nfrom .one import *\nfrom .one import X as Y\n"
        "always(a, Y)",
    )
    assert codes(scan) == ["AL104", "AL104"]


def test_files_and_directories_can_be_left_out(tmp_path):
    files = {
        name: f"from assertlib import always\nalways(a, '{name}')"
        for name in ("store__log", "store__generated_pb2", "store__vendor__x", "store__vendored")
    }
    tree(tmp_path, **files)
    target = Target(source=("store",), exclude=("store/vendor", "*_pb2.py"))
    scan = scan_target(tmp_path, target)
    assert [site.file for site in scan.sites] == ["store/log.py", "store/vendored.py"]
    assert scan.files == 2


def test_only_the_sources_of_the_target_are_read(tmp_path):
    text = "from assertlib import always\nalways(a, '{0}')"
    tree(tmp_path, a__x=text.format("a"), b__x=text.format("b"), c=text.format("c"))
    scan = scan_target(tmp_path, Target(source=("a", "c.py")))
    assert [site.file for site in scan.sites] == ["a/x.py", "c.py"]


def test_a_file_named_twice_is_read_once(tmp_path):
    tree(tmp_path, a__x="from assertlib import always\nalways(a, 'm')")
    scan = scan_target(tmp_path, Target(source=("a", "a/x.py", "./a", ".")))
    assert (found(scan), scan.findings, scan.files) == ([("always", "m", None)], [], 1)


def test_a_source_outside_of_the_project_is_read(tmp_path):
    tree(tmp_path, other__x="from assertlib import always\nalways(a, 'm')")
    (tmp_path / "project").mkdir()
    for source in ("../other", str(tmp_path / "other")):
        scan = scan_target(tmp_path / "project", Target(source=(source,), exclude=("*_pb2.py",)))
        assert found(scan) == [("always", "m", None)]


def test_only_python_files_are_read(tmp_path):
    (tmp_path / "a.txt").write_text("from assertlib import always\nalways(a, 'm')")
    (tmp_path / "b.py").mkdir()
    scan = scan_target(tmp_path, Target(source=(".",)))
    assert (scan.sites, scan.findings, scan.files) == ([], [], 0)


def test_a_scan_is_the_same_each_time(tmp_path):
    one = tree(tmp_path, store__init="", store__names=NAMES, store__log=IMPORTS["relative"])
    two = scan_target(tmp_path, Target(source=(".",)))
    assert one == two
