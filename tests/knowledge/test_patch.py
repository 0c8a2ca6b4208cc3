"""Unified diffs: what they change, and where that is in a tree before and after the change."""

from __future__ import annotations

import difflib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assertlib.knowledge.patch import PatchError, locate, read_patch

_LINES = st.lists(st.sampled_from(["a", "b", "c", "-- d", "++ e", "", " f", "@@ g"]), max_size=30)


def _diff(before, after):
    return "".join(
        f"{line.rstrip(chr(10))}\n"
        for line in difflib.unified_diff(before, after, "a/x.py", "b/x.py", lineterm="")
    )


@given(_LINES, _LINES)
def test_the_sides_of_a_diff_are_the_files_that_it_was_made_of(before, after):
    changes = read_patch(_diff(before, after))
    if before == after:
        assert changes == []
        return
    (change,) = changes
    assert change.paths == ["x.py"]
    for hunk in change.hunks:
        assert hunk.side("-") == before[hunk.old - 1 :][: len(hunk.side("-"))]
        assert hunk.side("+") == after[hunk.new - 1 :][: len(hunk.side("+"))]


@given(st.lists(st.integers(), unique=True, min_size=8, max_size=60), st.data())
def test_a_change_is_found_in_the_tree_before_and_after_it(numbers, data):
    before = [str(number) for number in numbers]
    at = data.draw(st.integers(0, len(before) - 1))
    after = [*before[:at], "changed", *before[at + 1 :]]
    (change,) = read_patch(_diff(before, after))
    (hunk,) = change.hunks
    # Lines above the change shift it, as another commit would.
    above = ["new"] * data.draw(st.integers(0, 20))
    old, new = locate(hunk, above + before), locate(hunk, above + after)
    line = len(above) + at + 1
    assert old is not None
    assert not old.is_applied
    assert line in old.lines
    assert new is not None
    assert new.is_applied
    assert line in new.lines


def test_a_hunk_that_fits_neither_side_has_no_place():
    (change,) = read_patch(_diff(["a", "b", "c"], ["a", "x", "c"]))
    assert locate(change.hunks[0], ["p", "q", "r"]) is None


def test_new_deleted_renamed_and_binary_files_are_changes():
    text = """\
diff --git a/new.py b/new.py
new file mode 100644
--- /dev/null
+++ b/new.py
@@ -0,0 +1 @@
+x = 1
diff --git a/old.py b/old.py
deleted file mode 100644
--- a/old.py
+++ /dev/null
@@ -1 +0,0 @@
-x = 1
diff --git a/one.py b/two.py
similarity index 100%
rename from one.py
rename to two.py
diff --git a/image.png b/image.png
Binary files a/image.png and b/image.png differ
"""
    assert [(each.old, each.new) for each in read_patch(text)] == [
        (None, "new.py"),
        ("old.py", None),
        ("one.py", "two.py"),
        ("image.png", "image.png"),
    ]


def test_a_removed_line_that_looks_like_a_header_is_a_line():
    text = "--- a/x.sql\n+++ b/x.sql\n@@ -1,2 +1 @@\n--- a comment\n x\n"
    (change,) = read_patch(text)
    assert change.hunks[0].changed == ["-- a comment"]


def test_quoted_names_windows_line_ends_and_missing_prefixes_are_read():
    text = '--- "a/\\303\\251.py"\r\n+++ "b/\\303\\251.py"\r\n@@ -1 +1 @@\r\n-x\r\n+y\r\n'
    (change,) = read_patch(text)
    assert change.new == "é.py"
    assert change.hunks[0].lines == [("-", "x"), ("+", "y")]
    assert read_patch("--- x.py\n+++ x.py\n@@ -1 +1 @@\n-x\n+y\n")[0].new == "x.py"


@pytest.mark.parametrize("text", ["hello\n", "{}", "--- a\n"])
def test_what_is_no_diff_is_refused(text):
    with pytest.raises(PatchError, match="not a unified diff"):
        read_patch(text)


def test_an_empty_diff_changes_nothing():
    assert read_patch("") == []


@given(st.text(alphabet='-+ @a1,\n\\"\r\0/', max_size=200))
def test_hostile_text_is_a_diff_or_is_refused(text):
    try:
        changes = read_patch(text)
    except PatchError:
        return
    for change in changes:
        for hunk in change.hunks:
            locate(hunk, text.split("\n"))


def test_a_changed_line_does_not_touch_its_neighbours():
    before = ["def a():", "    return 1", "def b(x):", "    return 2"]
    (change,) = read_patch(_diff(before, [*before[:2], "def b(x, y):", before[3]]))
    for tree in (before, [*before[:2], "def b(x, y):", before[3]]):
        place = locate(change.hunks[0], tree)
        assert place is not None
        assert place.lines == (3,)
