"""
Run directories: made, described, found again.
"""

import json

import pytest

from assertlib.catalog.check import check
from assertlib.catalog.config import find_config
from assertlib.errors import NoDataError
from assertlib.evidence.runs import (
    describe_run,
    find_runs,
    finish_run,
    new_run,
    read_info,
)

PYPROJECT = '[tool.assertlib.targets.store]\nsource = ["store.py"]\n'
STORE = 'from assertlib import always\n\n\ndef put(n):\n    always(n > 0, "n is positive")\n'


@pytest.fixture
def config(tmp_path):
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    (tmp_path / "store.py").write_text(STORE)
    (tmp_path / "catalog").mkdir()
    return find_config(tmp_path)


@pytest.fixture
def runs(config):
    """Three runs, the newest last."""
    paths = [config.root / ".assertlib" / "runs" / name for name in ("1-aa", "1-ab", "2-bb")]
    for path in paths:
        path.mkdir(parents=True)
    return paths


def described(config):
    path = new_run(config)
    describe_run(path, check(config, *config.target()), config, ["make", "test"])
    return path


def test_a_new_run_lies_in_the_project_and_is_ignored_by_git(config):
    path = new_run(config)
    assert path.parent == config.root / ".assertlib" / "runs"
    assert (config.root / ".assertlib" / ".gitignore").read_text() == "*\n"


def test_new_runs_never_share_a_directory(config):
    assert new_run(config) != new_run(config)


def test_runs_sort_by_name_in_the_order_they_were_made(config):
    names = [new_run(config).name for _ in range(20)]
    assert names == sorted(names)


def test_a_described_run_knows_its_target_its_command_and_its_scan(config):
    info = read_info(described(config))
    assert (info.target, info.command) == ("store", ("make", "test"))
    assert [site.message for site in info.scan] == ["n is positive"]
    assert info.scan[0].fingerprint


def test_a_run_is_partial_until_it_is_finished(config):
    path = described(config)
    assert not read_info(path).full
    finish_run(path, full=True)
    assert read_info(path).full


def test_a_run_that_finished_partial_is_partial(config):
    path = described(config)
    finish_run(path, full=False)
    assert not read_info(path).full


def test_finishing_keeps_the_rest_of_the_description(config):
    path = described(config)
    before = json.loads((path / "run.json").read_text())
    finish_run(path, full=True)
    assert json.loads((path / "run.json").read_text()) == {**before, "full": True}


def test_describing_leaves_no_temporary_file(config):
    assert [file.name for file in described(config).iterdir()] == ["run.json"]


def test_the_hash_of_the_catalog_changes_with_the_catalog(config):
    def digest():
        return json.loads((described(config) / "run.json").read_text())["catalog"]

    before = digest()
    (config.root / "catalog" / "kv.toml").write_text("schema = 1\n")
    assert digest() != before


def test_without_a_name_the_newest_run_is_found(config, runs):
    assert find_runs(config, []) == [runs[-1]]


def test_a_run_is_found_by_its_id(config, runs):
    assert find_runs(config, ["1-aa"]) == [runs[0]]


def test_a_run_is_found_by_the_beginning_of_its_id(config, runs):
    assert find_runs(config, ["2"]) == [runs[2]]


def test_a_run_is_found_by_its_directory(config, runs):
    assert find_runs(config, [str(runs[1])]) == [runs[1]]


def test_several_runs_are_found_in_the_order_of_their_names(config, runs):
    assert find_runs(config, ["2-bb", "1-aa"]) == [runs[2], runs[0]]


def test_a_beginning_that_fits_several_runs_names_them(config, runs):
    with pytest.raises(NoDataError, match="1-aa, 1-ab"):
        find_runs(config, ["1-a"])


def test_an_id_that_is_also_the_beginning_of_another_is_that_run(config, runs):
    (runs[0].parent / "1-aab").mkdir()
    assert find_runs(config, ["1-aa"]) == [runs[0]]


def test_a_run_that_does_not_exist_is_no_data(config, runs):
    with pytest.raises(NoDataError, match="there is no run 'nope'"):
        find_runs(config, ["nope"])


def test_without_runs_the_error_says_how_to_record_one(config):
    with pytest.raises(NoDataError, match="assertlib run"):
        find_runs(config, [])
