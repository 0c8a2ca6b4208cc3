"""
Finds every assertion in source code by reading it; nothing is imported.
"""

from .scanner import Scan, scan_sources, scan_target
from .sources import LANGUAGES
from .tree import source_files

__all__ = ["LANGUAGES", "Scan", "scan_sources", "scan_target", "source_files"]
