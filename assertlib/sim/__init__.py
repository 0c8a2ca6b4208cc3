"""Deterministic simulation: hosts, network, disks and faults from one seed."""

from .datagrams import Mailbox
from .decorator import SimulationFailedError, test
from .disk import SimDisk
from .loop import DeadlockError
from .network import Network
from .refusal import NotSimulatedError
from .tape import Tape
from .trial import Failure, Options, Outcome, run_trial
from .world import Host, World

__all__ = [
    "DeadlockError",
    "Failure",
    "Host",
    "Mailbox",
    "Network",
    "NotSimulatedError",
    "Options",
    "Outcome",
    "SimDisk",
    "SimulationFailedError",
    "Tape",
    "World",
    "run_trial",
    "test",
]
