"""`assertlib mcp`, asked by the client of the official package over stdin and stdout."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

pytest.importorskip("mcp", reason="the extra mcp is not installed")

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from ..support import clean_environment
from .project import ASSERTLIB, DEFECT, Project


@pytest.fixture(name="project")
def _project(tmp_path):
    project = Project(tmp_path)
    project.write(
        "broken.py",
        "from store.log import Log, reply\nlog = Log()\nlog.append(0)\nreply(log, 3)\n",
    )
    project.write("secret.txt", "password\n")
    subprocess.run(
        [ASSERTLIB, "run", "--", sys.executable, "broken.py"],
        cwd=tmp_path, env={**clean_environment(), "PYTHONPATH": str(tmp_path)}, check=False,
        capture_output=True,
    )  # fmt: skip
    return project


def _talk(project, conversation):
    """Run *conversation* with a session of the project's server."""

    async def main():
        parameters = StdioServerParameters(
            command=str(ASSERTLIB), args=["mcp"], cwd=str(project.root), env=clean_environment()
        )
        async with stdio_client(parameters) as streams, ClientSession(*streams) as session:
            await session.initialize()
            return await conversation(session)

    return asyncio.run(asyncio.wait_for(main(), 60))


def _text(result):
    return "".join(each.text for each in result.content)


def test_every_tool_and_resource_answers(project):
    async def conversation(session):
        tools = {tool.name: tool for tool in (await session.list_tools()).tools}
        assert set(tools) == {"context", "invariant", "search", "why_failed", "gaps"}
        assert all(tool.annotations.read_only_hint for tool in tools.values())
        answers = {
            "place": await session.call_tool("context", {"place": "store/log.py:14-16"}),
            "symbol": await session.call_tool("context", {"symbol": "Log.sync"}),
            "diff": await session.call_tool("context", {"diff": DEFECT}),
            "invariant": await session.call_tool(
                "invariant", {"identifier": "wal.index-contiguous"}
            ),
            "search": await session.call_tool("search", {"query": "acknowledged record on disk"}),
            "why_failed": await session.call_tool("why_failed", {}),
            "gaps": await session.call_tool("gaps", {}),
        }
        resources = (await session.list_resources()).resources
        pages = [await session.read_resource(each.uri) for each in resources]
        return answers, resources, pages

    answers, resources, pages = _talk(project, conversation)
    texts = {name: _text(result) for name, result in answers.items()}
    assert not any(result.is_error for result in answers.values()), texts
    assert "1. wal.index-contiguous" in texts["place"]
    assert "1. wal.synced-before-ack" in texts["symbol"]
    assert "1. wal.synced-before-ack" in texts["diff"]
    assert texts["invariant"].startswith("# wal.index-contiguous")
    assert texts["search"].startswith("wal.synced-before-ack: ")
    assert "an acknowledged record is on disk" in texts["why_failed"]
    assert "wal.clients-see-order: " in texts["gaps"]
    assert [str(each.uri) for each in resources] == [
        "invariant://wal.clients-see-order",
        "invariant://wal.index-contiguous",
        "invariant://wal.synced-before-ack",
    ]
    assert pages[0].contents[0].text.startswith("# wal.clients-see-order")


HOSTILE = {
    "outside": ("context", {"place": "../../etc/passwd"}),
    "absolute": ("context", {"place": "/etc/passwd:1-2"}),
    "no source": ("context", {"place": "secret.txt"}),
    "huge": ("context", {"diff": "x" * 10_000_000}),
    "huge id": ("invariant", {"identifier": "x" * 100_000}),
    "controls": ("search", {"query": "\x1b[31mred"}),
    "null byte": ("context", {"place": "store/\0log.py"}),
    "no diff": ("context", {"diff": "rm -rf /"}),
    "nothing": ("context", {}),
    "two things": ("context", {"place": "store/log.py", "symbol": "Log"}),
    "unknown id": ("invariant", {"identifier": "wal.index-contigous"}),
    "unknown symbol": ("context", {"symbol": "Nothing"}),
    "past the end": ("context", {"place": "store/log.py:900"}),
    "wrong type": ("search", {"query": {"a": 1}}),
}


def test_hostile_arguments_are_refused_with_a_message_and_the_server_goes_on(project):
    before = sorted(path for path in project.root.rglob("*"))

    async def conversation(session):
        found = {}
        for name, (tool, arguments) in HOSTILE.items():
            found[name] = await session.call_tool(tool, arguments)
        found["after"] = await session.call_tool("search", {"query": "replies"})
        return found

    found = _talk(project, conversation)
    assert not found.pop("after").is_error
    for name, result in found.items():
        assert result.is_error, name
        assert _text(result).strip()
        assert "\x1b" not in _text(result)
        assert "Traceback" not in _text(result)
        assert "password" not in _text(result)
    assert "did you mean 'wal.index-contiguous'" in _text(found["unknown id"])
    # Nothing was written.
    assert sorted(path for path in project.root.rglob("*")) == before


def test_a_target_that_does_not_exist_is_one_clear_line(project):
    done = project.run("mcp", "--target", "nothing", code=2)
    assert "there is no target 'nothing'" in done.stderr


def test_a_catalog_entry_that_cannot_be_read_is_an_error_of_each_tool(project):
    async def conversation(session):
        project.change(
            "catalog/wal.toml", "[synced-before-ack]\n", "[synced-before-ack]\nunheard = 1\n"
        )
        return [
            await session.call_tool("context", {"place": "store/log.py:14-16"}),
            await session.call_tool("search", {"query": "ack"}),
            await session.call_tool("invariant", {"identifier": "wal.synced-before-ack"}),
            await session.call_tool("why_failed", {}),
            await session.call_tool("gaps", {}),
        ]

    for result in _talk(project, conversation):
        assert result.is_error
        assert "AL105" in _text(result)
