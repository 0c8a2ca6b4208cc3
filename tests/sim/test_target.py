"""
The stamp of a trial covers the project's own modules, wherever the project lies.
"""

import sys
import sysconfig
from types import ModuleType

import pytest

from assertlib.sim.target import stamp


def is_stamped(path, monkeypatch):
    """Whether a change of the loaded module at *path* changes the stamp."""
    module = ModuleType("of_a_project")
    module.__file__ = str(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    stamps = []
    for text in ("one = 1\n", "two = 2\n"):
        path.write_text(text)
        stamps.append(stamp()["source"])
    return stamps[0] != stamps[1]


@pytest.mark.parametrize("prefix", ["base_prefix", "prefix"])
@pytest.mark.parametrize(
    "place", ["usr/src/project/store.py", "usr-local/store.py", "usr/store.py"]
)
def test_a_project_is_stamped_also_below_or_beside_the_prefix_of_python(
    tmp_path, monkeypatch, prefix, place
):
    monkeypatch.setattr(sys, prefix, str(tmp_path / "usr"))
    assert is_stamped(tmp_path / place, monkeypatch)


@pytest.mark.parametrize("packages", ["site-packages", "dist-packages"])
def test_an_installed_package_is_not_stamped(tmp_path, monkeypatch, packages):
    assert not is_stamped(tmp_path / "lib" / packages / "package" / "module.py", monkeypatch)


def test_the_standard_library_is_not_stamped_but_what_lies_beside_it(tmp_path, monkeypatch):
    library = tmp_path / "lib" / "python3"
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(library))
    assert not is_stamped(library / "json.py", monkeypatch)
    assert is_stamped(tmp_path / "lib" / "python3-project" / "store.py", monkeypatch)
