"""
Verdicts as metrics, for whoever keeps an eye on several runs from afar.
"""

from __future__ import annotations

from collections import Counter

from ..evidence.summary import Summary
from ..evidence.verdicts import Level, Verdict
from ..model import KINDS, UsageError
from ..recording.session import VERSION

ASSERTIONS = "assertlib.assertion.count"
INVARIANTS = "assertlib.invariant.count"


def send(summary: Summary) -> None:
    """
    Send how many assertions have each verdict, and how many invariants stand where.

    Zeros are sent, too, so that what is mended does not stay as it was.

    Raises:
        UsageError: The extra is missing, or a variable names what is not there.
    """
    try:
        from opentelemetry import metrics

        from ..telemetry.otel_setup import set_up

        set_up()
    except ModuleNotFoundError as error:
        raise UsageError(f"--otel needs {error.name}: pip install 'assertlib-sdk[otel]'") from None
    except (ImportError, ValueError) as error:
        raise UsageError(f"--otel: {error}") from None
    meter = metrics.get_meter("assertlib", VERSION)
    target = {"assertlib.target": summary.target}
    assertions = meter.create_gauge(ASSERTIONS, "{assertion}", "Assertions by verdict")
    verdicts = Counter((each.kind.name, each.verdict) for each in summary.assertions)
    for kind in KINDS:
        for verdict in Verdict:
            attributes = {
                **target,
                "assertlib.assertion.kind": kind.name,
                "assertlib.assertion.verdict": verdict.value,
            }
            assertions.set(verdicts[kind.name, verdict], attributes)
    invariants = meter.create_gauge(INVARIANTS, "{invariant}", "Invariants by level")
    levels = Counter(each.standing.level for each in summary.invariants)
    for level in Level:
        invariants.set(levels[level], {**target, "assertlib.invariant.level": level.value})
