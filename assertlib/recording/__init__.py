"""
How hits become evidence that survives ``kill -9``.

Nothing outside this package touches counters or the bytes of a shard.
"""
