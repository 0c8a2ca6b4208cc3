"""
``assertlib docs``, as a user types it.
"""

import pytest

from ..evidence.projects import Project

PAGES = ["index.md", "kv.full.md", "kv.positive.md"]


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def listed(directory):
    return sorted(path.name for path in directory.iterdir())


def test_it_writes_a_page_for_each_invariant_and_an_index(project):
    done = project.cli("docs")
    assert done.returncode == 0
    assert listed(project.root / "docs" / "invariants") == PAGES


def test_it_writes_where_it_is_told_to(project):
    project.cli("docs", "-o", "pages")
    assert listed(project.root / "pages") == PAGES


def test_the_same_input_gives_the_same_bytes(project):
    project.cli("docs", "-o", "one")
    project.cli("docs", "-o", "two")
    for name in PAGES:
        one, two = (project.root / where / name for where in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()


def test_runs_leave_no_trace_in_the_pages(project):
    project.cli("docs")
    project.record("store.put(-1)")
    assert project.cli("docs", "--check").returncode == 0


def test_fresh_pages_pass_the_check(project):
    project.cli("docs")
    done = project.cli("docs", "--check")
    assert (done.returncode, done.stdout) == (0, "")


def test_a_stale_page_fails_the_check_and_is_named(project):
    project.cli("docs")
    project.write("docs/invariants/kv.full.md", "stale")
    done = project.cli("docs", "--check")
    assert done.returncode == 1
    assert "kv.full.md is stale; run `assertlib docs" in done.stdout


def test_a_missing_page_fails_the_check(project):
    project.cli("docs")
    (project.root / "docs" / "invariants" / "kv.full.md").unlink()
    done = project.cli("docs", "--check")
    assert done.returncode == 1
    assert "kv.full.md is missing" in done.stdout


def test_a_surplus_page_fails_the_check(project):
    project.cli("docs")
    project.write("docs/invariants/kv.gone.md", "# kv.gone\n")
    done = project.cli("docs", "--check")
    assert done.returncode == 1
    assert "kv.gone.md is obsolete" in done.stdout


def test_a_checkout_with_other_line_ends_is_fresh(project):
    project.cli("docs")
    for path in (project.root / "docs" / "invariants").glob("*.md"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert project.cli("docs", "--check").returncode == 0
    assert project.cli("docs").returncode == 0


def test_no_pages_at_all_fail_the_check(project):
    assert project.cli("docs", "--check").returncode == 1


def test_the_check_writes_nothing(project):
    project.cli("docs", "--check")
    assert not (project.root / "docs").exists()


def test_the_page_of_an_invariant_that_is_gone_is_removed(project):
    project.cli("docs")
    catalog = (project.root / "catalog" / "kv.toml").read_text()
    project.write("catalog/kv.toml", catalog[: catalog.index("[full]")])
    project.cli("docs")
    assert listed(project.root / "docs" / "invariants") == ["index.md", "kv.positive.md"]


@pytest.mark.parametrize(
    "name", ["README.md", "index.md", "notes.draft.md", "v1.2.md", "CHANGELOG-2.0.md"]
)
def test_a_directory_that_holds_another_document_is_refused_and_untouched(project, name):
    foreign = project.write(f"docs/{name}", "# My own words\n")
    done = project.cli("docs", "-o", "docs")
    assert done.returncode == 2
    assert name in done.stderr
    assert foreign.read_text() == "# My own words\n"
    assert listed(project.root / "docs") == [name]


def test_files_that_are_no_documents_do_not_disturb(project):
    project.write("pages/logo.svg", "<svg/>")
    assert project.cli("docs", "-o", "pages").returncode == 0
    assert (project.root / "pages" / "logo.svg").exists()


def test_a_page_that_is_no_text_fails_the_check_in_one_line(project):
    project.cli("docs")
    (project.root / "docs" / "invariants" / "kv.full.md").write_bytes(b"\xff\xfe")
    done = project.cli("docs", "--check")
    assert done.returncode in (1, 2)
    assert "kv.full.md" in done.stdout + done.stderr


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_page_that_an_editor_has_saved_is_fresh_or_named(project, encoding):
    project.cli("docs")
    page = project.root / "docs" / "invariants" / "kv.full.md"
    page.write_bytes(page.read_text("utf-8").encode(encoding))
    for words in ("docs", "--check"), ("docs",):
        done = project.cli(*words)
        if encoding == "utf-8-sig":
            assert done.returncode == 0
        else:
            assert done.returncode == 2
            assert done.stderr.endswith("kv.full.md: is UTF-16; save it as UTF-8\n")


def test_the_lock_of_an_editor_is_no_page(project):
    project.cli("docs")
    lock = project.root / "docs" / "invariants" / ".#kv.full.md"
    lock.symlink_to("me@host.1234:1")
    assert project.cli("docs", "--check").returncode == 0
    assert project.cli("docs").returncode == 0
    assert lock.is_symlink()


def test_a_file_in_place_of_the_directory_is_2_in_one_line(project):
    project.write("pages", "a file")
    done = project.cli("docs", "-o", "pages")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_a_broken_catalog_is_2_and_names_file_and_line(project):
    project.write("catalog/kv.toml", "schema = 1\n[positive\n")
    done = project.cli("docs")
    assert done.returncode == 2
    assert "catalog/kv.toml:2:" in done.stderr
    assert not (project.root / "docs").exists()


def test_without_a_configuration_it_says_what_to_add(project):
    (project.root / "pyproject.toml").unlink()
    done = project.cli("docs")
    assert done.returncode == 2
    assert "assertlib init" in done.stderr
