"""
How the project reads, measured: ``python -m tests.prose`` prints the figures.
"""

import re

from . import prose

NEED_NO_ARGS = set()
"""Public functions whose parameters need no explanation, though their signature is long."""


def test_few_sentences_tell():
    told, lines = prose.telling_words()
    assert 1000 * told / lines <= 0.3


def test_comments_give_reasons_on_four_lines_of_a_hundred():
    comments, lines = prose.commented_lines()
    assert comments / lines >= 0.04


def test_public_functions_explain_their_parameters():
    assert {str(each) for each in prose.public_functions() if each.lacks_args} == NEED_NO_ARGS


def test_public_functions_name_the_errors_that_they_raise():
    assert [str(each) for each in prose.public_functions() if each.lacks_raises] == []


def test_complicated_functions_are_rare():
    assert len(prose.complex_functions()) <= prose.all_functions() / 100


def test_long_modules_give_a_reason_and_none_is_too_long():
    modules = prose.long_modules()
    assert [name for name, (_, has_reason) in modules.items() if not has_reason] == []
    assert [name for name, (lines, _) in modules.items() if lines > 800] == []


def test_contributors_are_led_to_files_that_exist():
    text = (prose.ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    paths = re.findall(r"`((?:assertlib|tests|docs)/[\w/.]*)`", text)
    assert len(paths) > 20
    assert [path for path in paths if not (prose.ROOT / path).exists()] == []


def test_every_module_of_the_package_stands_in_the_table_of_rooms():
    text = (prose.ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rooms = {path.name + "/" * path.is_dir() for path in prose.PACKAGE.iterdir()}
    rooms -= {"__init__.py", "__pycache__/", "py.typed"}
    python = {name for name in rooms if name.endswith((".py", "/"))}
    assert [name for name in sorted(python) if f"`{name}`" not in text] == []
