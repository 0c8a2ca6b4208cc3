"""
assertlib held to its own catalog, by its own assertions: limits, telemetry, foreign output.
"""

import os
import random
import subprocess
import sys

import pytest

from assertlib import Invariant
from assertlib.recording.foreign import convert
from assertlib.recording.reader import read_shards

from ..evidence import foreign
from ..support import clean_environment, counts_of

LIMITS = Invariant("telemetry.limits-lose-no-count")
METRICS = Invariant("telemetry.metrics-are-the-counters")
FOREIGN = Invariant("telemetry.foreign-records-are-accounted-for")

LIMITED = """
import random, sys
from assertlib import always, configure, trial
seed, most = int(sys.argv[1]), int(sys.argv[2])
dice = random.Random(seed)
configure(sinks=[], max_shard_bytes=most, max_records_per_second=dice.choice([0, 50]))
hits = 0
for number in range(400):
    with trial(f"t{number}", seed=number):
        for _ in range(dice.randrange(1, 4)):
            always(dice.random() < 0.5, f"claim {dice.randrange(30)}", {"x": "y" * 200})
            hits += 1
print(hits)
"""

SENDING = """
import random, sys
from assertlib import always, sometimes
dice = random.Random(int(sys.argv[1]))
for _ in range(dice.randrange(100, 3000)):
    always(dice.random() < 0.9, f"claim {dice.randrange(40)}")
    sometimes(dice.random() < 0.1, f"state {dice.randrange(40)}")
"""


def run(program, run_dir, *args, **variables):
    environment = {**clean_environment(), "ASSERTLIB_RUN_DIR": str(run_dir), **variables}
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, args)],
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    return done.stdout, read_shards(str(run_dir))


@pytest.mark.parametrize("seed", range(6))
def test_limits_drop_records_and_no_counts(seed, tmp_path):
    most = 1 << (16 + seed % 2)
    hits, (shard,) = run(LIMITED, tmp_path, seed, most)
    counted = sum(shard.true) + sum(shard.false)
    (lines,) = tmp_path.glob("*.jsonl")
    LIMITS.always(counted == int(hits), "every hit is counted beyond a limit", {"seed": seed})
    LIMITS.always(os.path.getsize(lines) <= most, "a shard is no larger than its limit")
    LIMITS.sometimes(shard.dropped_records > 0, "a limit drops a record")


@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
@pytest.mark.parametrize("seed", range(2))
def test_metrics_equal_the_counters(seed, temporality, tmp_path):
    pytest.importorskip("opentelemetry.proto")
    from ..telemetry import receiver as receivers

    receiver = receivers.start("http/protobuf")
    variables = receivers.environment_for(
        receiver, OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=temporality
    )
    _, shards = run(SENDING, tmp_path, seed, **variables)
    receiver.close()
    told, counted = receiver.received.counts(), counts_of(shards)
    METRICS.always(told == counted, "a collector has what the shard has", {"seed": seed})


@pytest.mark.parametrize("seed", range(10))
def test_every_record_of_a_foreign_file_is_accounted_for(seed, tmp_path):
    dice = random.Random(seed)
    pieces = [
        foreign.process(),
        foreign.text(foreign.assertion("fine", condition=dice.random() < 0.5)),
        foreign.text(foreign.assertion("soon", condition="no")),
        foreign.text({"antithesis_future": {}}),
        foreign.text({"event": {}}),
        "garbage\n",
        '{"antithesis_assert": {"cut',
    ]
    path = tmp_path / "out.jsonl"
    path.write_text("".join(dice.choices(pieces, k=dice.randrange(1, 20))))
    (tmp_path / "run").mkdir()
    account = convert(str(path), str(tmp_path / "run"), "out")
    with path.open("rb") as file:
        lines = sum(1 for _ in file)
    FOREIGN.always(account.total == lines, "every line is accounted for", {"seed": seed})
    counts = counts_of(read_shards(str(tmp_path / "run")))
    FOREIGN.always(
        sum(map(sum, counts.values())) == account.understood["hit"],
        "every hit that is understood is counted",
        {"seed": seed},
    )
    FOREIGN.sometimes(account.unreadable_count > 0, "a line cannot be read")
