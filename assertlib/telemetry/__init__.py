"""
Sinks: where violations and first true hits are told besides the run directory.

Each module has a ``sink()`` that returns an object with ``handle(hit)``; they
are loaded by name (``ASSERTLIB_SINKS``, ``assertlib.configure(sinks=…)``) when
the first record is told, and imported only then.
"""
