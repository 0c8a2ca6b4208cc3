"""
The engine of Ray: a cluster of two nodes, of which one is lost in the middle.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from assertlib.evidence.gather import read_evidence

from ..support import clean_environment, evidence_by_trial

pytest.importorskip("ray")

PROJECT = """
[tool.assertlib.targets.sums]
source = ["sums.py"]
catalog = ["catalog"]
scenario = "sums:scenario"
"""
SUMS = """
import asyncio
from assertlib import always, sometimes

async def scenario(world):
    numbers = [world.tape.choose(1000) for _ in range(100)]
    host = world.host("adder")
    host.boot()
    async def add(number):
        await asyncio.sleep(number / 100_000)
        return number
    total = sum([await host.run(add(number)) for number in numbers for _ in range(30)])
    always(total == 30 * sum(numbers), "all numbers are added")
    sometimes(total % 7 == 0, "a sum is a multiple of seven")
"""
SEEDS = 300
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_COLOR_PREFIX": "0",
    # The defaults take a quarter of a minute to notice that a node is gone.
    "RAY_health_check_initial_delay_ms": "0",
    "RAY_health_check_period_ms": "300",
    "RAY_health_check_timeout_ms": "5000",
    "RAY_health_check_failure_threshold": "3",
}


@pytest.fixture
def project(tmp_path):
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "sums.py").write_text(SUMS)
    (tmp_path / "catalog").mkdir()
    return tmp_path


@pytest.fixture
def short_directory():
    """Sockets have short names."""
    directory = tempfile.mkdtemp(prefix="ray", dir="/tmp")
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


def isolated():
    """A prefix that gives a command a network and processes of its own; None if there is none."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    prefix = ["unshare", *user, "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if shutil.which("unshare") is None:
        return None
    return None if subprocess.run([*prefix, "true"], capture_output=True).returncode else prefix


def by_seed(run):
    """What each assertion did in each trial."""
    return evidence_by_trial(run)


@pytest.mark.long
def test_a_cluster_that_loses_a_node_runs_every_seed_once(project, short_directory):
    prefix = isolated()
    if prefix is None:
        pytest.skip("no namespaces here")
    result = project / "result.json"
    explore = [sys.executable, "-c", "from assertlib.cli.entry import main; main()"]
    explore += ["sim", "explore", "--engine", "ray", "--jobs", "2", "--seeds", str(SEEDS)]
    program = Path(__file__).with_name("ray_cluster.py")
    done = subprocess.run(
        [*prefix, sys.executable, str(program), str(result), *explore],
        cwd=project,
        env={
            **clean_environment(),
            **QUIET,
            "RAY_TMPDIR": short_directory,
            "TMPDIR": short_directory,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert result.exists(), done.stderr[-3000:]
    left = json.loads(result.read_text())
    assert left["code"] == 0, left

    (run,) = (project / ".assertlib" / "runs").iterdir()
    trials = [name for _, name in read_evidence([run]).trials()]
    assert sorted(trials) == sorted(f"seed {seed}" for seed in range(SEEDS)), left
    assert "repeating its trial" in left["stderr"], left["stderr"]

    local = subprocess.run(
        [*explore[:3], "sim", "explore", "--seeds", str(SEEDS), "--jobs", "2"],
        cwd=project,
        env=clean_environment(),
        capture_output=True,
    )
    assert local.returncode == 0
    (other,) = set((project / ".assertlib" / "runs").iterdir()) - {run}
    assert by_seed(run) == by_seed(other)
