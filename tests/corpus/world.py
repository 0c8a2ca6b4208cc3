"""
A project with a run that violates its promise, from files that are kept; what is damaged is laid
over copies of it.
"""

import shutil
from pathlib import Path

from ..never_green.project import Project
from ..never_green.test_damage import STORE

HERE = Path(__file__).parent
SHARD = "100-00c0ffee"
TAPE = "t1-537eaf2b98"


def project_at(root):
    """The project at *root*, with the run ``base``, an export, a history and a tape."""
    project = Project(root)
    project.write("store.py", (root / "store.py").read_text() + STORE)
    shutil.copytree(HERE / "run", run_of(project))
    for name in ("evidence.jsonl", "history.jsonl", "etcd.jsonl"):
        shutil.copy(HERE / name, root / name)
    shutil.copytree(HERE / "catalog", root / "catalog", dirs_exist_ok=True)
    shutil.copy(run_of(project) / "sim" / f"{TAPE}.tape.json", root / "witness.tape.json")
    return project


def run_of(project):
    return project.root / ".assertlib" / "runs" / "base"
