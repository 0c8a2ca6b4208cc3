"""
What tests of the loop wait for.
"""

import asyncio
from pathlib import Path

import pytest

from .running import POLICIES

HERE = Path(__file__).parent

every_policy = pytest.mark.parametrize("policy", POLICIES)


async def forever():
    await asyncio.Event().wait()


async def turns(count):
    for _ in range(count):
        await asyncio.sleep(0)


async def turned(until):
    while not until():  # noqa: ASYNC110
        await asyncio.sleep(0)
