"""[tool.assertlib] of pyproject.toml."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assertlib.catalog.config import Config, ConfigError, Target, find_config

GOOD = """\
[project]
name = "store"

[tool.assertlib]
default-target = "store"

[tool.assertlib.targets.sdk]
source = ["sdk"]

[tool.assertlib.targets.store]
source = ["src", "tests"]
exclude = ["*_pb2.py"]
catalog = ["catalog", "assertlib:etcd"]
"""


def configured(directory, text) -> Config:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "pyproject.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return find_config(directory)


def refused(directory, text) -> str:
    with pytest.raises(ConfigError) as caught:
        configured(directory, text)
    return str(caught.value)


def test_a_good_configuration_is_read(tmp_path):
    config = configured(tmp_path, GOOD)
    assert (config.root, config.file) == (tmp_path, tmp_path / "pyproject.toml")
    name, target = config.target()
    assert name == "store"
    assert target.source == ("src", "tests")
    assert target.exclude == ("*_pb2.py",)
    assert config.target("sdk")[1] == Target(source=("sdk",))


def test_the_catalog_is_in_catalog_unless_said_otherwise(tmp_path):
    config = configured(tmp_path, GOOD)
    assert config.catalog_roots(config.target("sdk")[1]) == [tmp_path / "catalog"]


def test_the_first_target_is_the_default_unless_said_otherwise(tmp_path):
    config = configured(tmp_path, GOOD.replace("default-target", "# "))
    assert config.target()[0] == "sdk"


WRONG = {
    "unknown key": ("default-target", "defualt-target", "5:1", "did you mean 'default-target'"),
    "unknown key of a target": ("exclude", "exclud", "12:1", "did you mean 'exclude'"),
    "unknown key unlike any": ("exclude", "zzz", "12:1", "'zzz'"),
    "unknown table": ("targets", "target", "7:1", "did you mean 'targets'"),
    "missing source": ('source = ["sdk"]', "", "7:1", "source"),
    "text for a list": ('["sdk"]', '"sdk"', "8:1", "source"),
    "number in a list": ('["sdk"]', "[1]", "8:1", "source"),
    "number for a name": ('"store"\n\n[tool.assertlib.targets.sdk', "7\n\n[tool.assertlib.targets.sdk",
                          "5:1", "default-target"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "place", "words"), WRONG.values(), ids=WRONG.keys())
def test_each_mistake_is_told_with_its_place(tmp_path, old, new, place, words):
    text = GOOD.replace(old, new)
    assert text != GOOD
    said = refused(tmp_path, text).splitlines()[0]
    assert said.startswith(f"{tmp_path / 'pyproject.toml'}:{place}: ")
    assert words in said


def test_two_mistakes_are_two_lines(tmp_path):
    said = refused(tmp_path, GOOD.replace("exclude", "exclud").replace("catalog =", "catlog ="))
    assert [line.rpartition("; ")[2] for line in said.splitlines()] == [
        "did you mean 'exclude'?",
        "did you mean 'catalog'?",
    ]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[tool]\nassertlib = 3\n", "2:1"),
        ("[[tool.assertlib]]\n", "1:1"),
        ("[tool.assertlib]\ntargets = 3\n", "2:1"),
        ("[tool.assertlib.targets]\nstore = 'src'\n", "2:1"),
    ],
)
def test_no_mistake_is_told_in_words_of_the_tools_inside(tmp_path, text, place):
    said = refused(tmp_path, text)
    assert said.startswith(f"{tmp_path / 'pyproject.toml'}:{place}: ")
    for word in ("_Table", "instance of", ": : ", "pydantic"):
        assert word not in said


@pytest.mark.parametrize("text", ["[tool", "a = = 1", b"\xff", "[a]\n[a]\n"])
def test_a_file_that_is_no_toml_is_told(tmp_path, text):
    assert refused(tmp_path, text).startswith(f"{tmp_path / 'pyproject.toml'}: ")


def test_without_a_file_there_is_no_target(tmp_path):
    config = find_config(tmp_path)
    assert config.file is None
    with pytest.raises(ConfigError, match=r"^pyproject.toml: no target .*assertlib init"):
        config.target()


@pytest.mark.parametrize("text", ["", "[project]\nname = 'x'\n", "[tool.other]\n", "tool = 3\n"])
def test_without_the_table_there_is_no_target(tmp_path, text):
    config = configured(tmp_path, text)
    assert config.file is None
    with pytest.raises(ConfigError, match="no target is configured"):
        config.target()


def test_an_empty_table_has_no_target(tmp_path):
    config = configured(tmp_path, "[tool.assertlib]\n")
    with pytest.raises(ConfigError, match=r"pyproject\.toml: no target is configured"):
        config.target()


def test_an_unknown_target_has_a_suggestion(tmp_path):
    config = configured(tmp_path, GOOD)
    with pytest.raises(ConfigError, match="no target 'stroe'; did you mean 'store'"):
        config.target("stroe")
    with pytest.raises(ConfigError, match="no target 'zzz'; available: sdk, store"):
        config.target("zzz")


def test_an_unknown_default_target_has_a_suggestion(tmp_path):
    config = configured(tmp_path, GOOD.replace('"store"\n\n[tool', '"stroe"\n\n[tool'))
    with pytest.raises(ConfigError, match="no target 'stroe'; did you mean 'store'"):
        config.target()


def test_the_nearest_file_with_the_table_wins(tmp_path):
    configured(tmp_path, GOOD)
    configured(tmp_path / "a", GOOD.replace("store", "inner"))
    configured(tmp_path / "a" / "b", "[project]\n")
    (tmp_path / "a" / "b" / "c").mkdir()
    assert find_config(tmp_path / "a" / "b" / "c").root == tmp_path / "a"
    assert find_config(tmp_path / "a").target()[0] == "inner"
    assert find_config(tmp_path).target()[0] == "store"


def test_the_packaged_catalog_is_found(tmp_path):
    config = configured(tmp_path, GOOD)
    own, shipped = config.catalog_roots(config.target()[1])
    assert own == tmp_path / "catalog"
    assert (shipped / "wal.toml").is_file()


@pytest.mark.parametrize("name", ["etdc", "", "../etcd", ".", "etcd.", "etcd/x", "a b"])
def test_an_unknown_packaged_catalog_is_told(tmp_path, name):
    config = configured(tmp_path, GOOD.replace("assertlib:etcd", f"assertlib:{name}"))
    with pytest.raises(ConfigError, match=r"no catalog 'assertlib:.*; only 'assertlib:etcd' does"):
        config.catalog_roots(config.target()[1])


LINES = st.sampled_from(
    ["[tool]", "[tool.assertlib]", "[tool.assertlib.targets]", "[tool.assertlib.targets.x]",
     "source = ['a']", "source = 'a'", "x = 1", "x = {}", "default-target = 'x'", "[[tool]]",
     "targets = {}", "targets.x.source = []", "assertlib = 1", "catalog = [1]", "'a.b' = {c = 1}"]
)  # fmt: skip


@given(st.lists(LINES, max_size=6).map("\n".join))
def test_no_file_ends_in_a_traceback(tmp_path_factory, text):
    try:
        configured(tmp_path_factory.mktemp("any"), text).target()
    except ConfigError as error:
        assert "pyproject.toml" in str(error)


OWN = """\
default-target = "store"

[targets.store]
source = ["server"]
"""


def test_a_project_without_pyproject_has_a_file_of_its_own(tmp_path):
    (tmp_path / "assertlib.toml").write_text(OWN)
    (tmp_path / "server/inner").mkdir(parents=True)
    config = find_config(tmp_path / "server/inner")
    assert config.file == tmp_path / "assertlib.toml"
    assert config.target()[1].source == ("server",)


def test_a_pyproject_without_the_table_does_not_hide_it(tmp_path):
    (tmp_path / "assertlib.toml").write_text(OWN)
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert find_config(tmp_path).file == tmp_path / "assertlib.toml"


def test_two_configurations_in_one_directory_are_refused(tmp_path):
    (tmp_path / "assertlib.toml").write_text(OWN)
    problem = refused(tmp_path, GOOD)
    assert "assertlib.toml: pyproject.toml beside it has [tool.assertlib] as well" in problem


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[tool.assertlib.targets.a]\nsource = []\n", "without the prefix tool.assertlib"),
        ("[targets.a]\nsourze = []\n", "assertlib.toml:2:1: unknown key 'sourze'"),
        ("targetz = 1\n", "did you mean 'targets'?"),
    ],
)
def test_a_mistake_in_it_is_named_with_its_place(tmp_path, text, problem):
    (tmp_path / "assertlib.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        find_config(tmp_path)
    assert problem in str(caught.value)
