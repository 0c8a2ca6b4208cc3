"""
Runs scenarios in the test's own process, recorded nowhere.
"""

from assertlib import lifecycle
from assertlib.sim import Options, Tape, run_trial

POLICIES = ("fifo", "random", "pct1", "pct3", "swarm")


def outcome_of(scenario, seed=0, policy="random", *, log=True, **options):
    """How one trial of *scenario* goes."""
    mode = lifecycle.mode()
    # What happens in here is none of a session's that records its tests.
    lifecycle.configure(mode="off")
    try:
        chosen = Options(policy, **{"seconds": 1e6, "steps": 100_000, **options})
        return run_trial(scenario, Tape(seed), chosen, name="test", keep_log=log)
    finally:
        lifecycle.configure(mode=mode)


def result_of(scenario, seed=0, policy="random"):
    """What *scenario* returns in a trial that must not fail."""
    results = []

    async def noted(world):
        results.append(await scenario(world))

    outcome = outcome_of(noted, seed, policy, log=False)
    assert outcome.failure is None, f"seed {seed}, policy {policy}\n{outcome.failure.text}"
    (result,) = results
    return result


def results_of(scenario, policy="random", seeds=12):
    """What *scenario* returns with one seed after the other."""
    return [result_of(scenario, seed, policy) for seed in range(seeds)]


def failure_of(scenario, seed=0, policy="random", **options):
    """How a trial of *scenario* fails, as it must."""
    failure = outcome_of(scenario, seed, policy, **options).failure
    assert failure is not None, "the trial did not fail"
    return failure


def lines_of(outcome):
    """What the log says, without times."""
    return [text for _, _, text in outcome.log]
