"""
Histories of client observations, and their validation against models of a correct store.
"""

from .history import History, read_history
from .operations import Outcome
from .recorder import Recorder
from .records import HistoryError
from .validation import Status, Validation, validate

__all__ = [
    "History",
    "HistoryError",
    "Outcome",
    "Recorder",
    "Status",
    "Validation",
    "read_history",
    "validate",
]
