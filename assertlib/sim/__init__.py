"""Deterministic simulation: a whole world from one seed."""

from .trial import Failure, Options, Outcome, run_trial
from .world import Host, World

__all__ = ["Failure", "Host", "Options", "Outcome", "World", "run_trial"]
