"""
Finds every assertion in Python source, by reading it; nothing is imported.
"""

from .scanner import Scan, scan_sources, scan_target, source_files

__all__ = ["Scan", "scan_sources", "scan_target", "source_files"]
