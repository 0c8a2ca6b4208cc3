"""
What a hit would cost that survives a cut counter file: ``python benchmarks/counter_writes.py``.

A hit is one addition in a mapped file.  Where the file is cut, that is a bus error, which the
accelerator handles and Python alone cannot.  Python alone could write each count with a system
call instead.  Rounds are interleaved; the ratio is the median, with the least and the most.
"""

from __future__ import annotations

import mmap
import os
import statistics
import tempfile
import timeit

ROUNDS, CALLS = 15, 100_000
MAPPED = "cells[index] += 1"
WRITTEN = "count += 1; pwrite(fd, count.to_bytes(8, 'little'), 64)"


def main() -> None:
    with tempfile.TemporaryFile() as file:
        file.truncate(mmap.PAGESIZE)
        cells = memoryview(mmap.mmap(file.fileno(), mmap.PAGESIZE)).cast("Q")
        names = {"cells": cells, "index": 8, "pwrite": os.pwrite, "fd": file.fileno()}
        taken = [
            tuple(
                timeit.timeit(each, "count = 0", number=CALLS, globals=names) / CALLS * 1e9
                for each in (MAPPED, WRITTEN)
            )
            for _ in range(ROUNDS)
        ]
    ratios = sorted(written / mapped for mapped, written in taken)
    mapped, written = (statistics.median(each) for each in zip(*taken, strict=True))
    print(f"added in a mapped file: {mapped:.0f} ns, written: {written:.0f} ns")
    print(f"ratio {statistics.median(ratios):.0f} ({ratios[0]:.0f} to {ratios[-1]:.0f})")


if __name__ == "__main__":
    main()
