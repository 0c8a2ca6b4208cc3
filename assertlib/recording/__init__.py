"""
Recording of hits, such that they survive ``kill -9``, and reading them back.

No module outside this package accesses counters or the bytes of a shard.
"""
