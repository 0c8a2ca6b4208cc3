"""
Ways to end green in the faces that judge something other than a recorded run: simulations,
histories, sources and the output of other SDKs.
"""

from typing import NamedTuple

RED, NOTHING = "red", "3"


class Case(NamedTuple):
    """
    One way.

    Attributes:
        promise: What assertlib promises.
        files: What the project holds, by name.
        expected: What each face ends with, by its command line.
        shows: What a red face has to name.
    """

    promise: str
    files: dict[str, str]
    expected: dict[str, str]
    shows: str


SCENARIO = "scenario.py"
EXPLORE = "sim explore scenario:main --seeds 3 --faults none"
REPLAY = "sim replay scenario:main@0"

_SIMULATED = """
import asyncio, io, os, time
import store

"""


def simulated(promise, body, shows, expected=RED, replay=RED):
    return Case(promise, {SCENARIO: _SIMULATED + body}, {EXPLORE: expected, REPLAY: replay}, shows)


SIMULATIONS = {
    "a violation": simulated(
        "A trial with a violation fails the exploration and its replay.",
        "async def main(world):\n    store.put(-1)\n",
        "values are not negative",
    ),
    "a violation that the scenario swallows": simulated(
        "A scenario that swallows a violation fails.",
        """
async def main(world):
    store.put(1)
    try:
        store.put(-1)
    except BaseException:
        pass
""",
        "values are not negative",
    ),
    "a refusal that the program swallows": simulated(
        "A refusal by the simulator fails the trial, whatever catches it.",
        """
async def serve(host):
    try:
        os.system("true")
    except BaseException:
        pass
    store.put(1)

async def main(world):
    host = world.host("server", serve)
    host.boot()
    await host.ended()
""",
        "os.system",
    ),
    "a host whose main dies": simulated(
        "A host that dies fails the trial.",
        """
async def serve(host):
    store.put(1)
    raise RuntimeError("the server is gone")

async def main(world):
    world.host("server", serve).boot()
    await asyncio.sleep(1)
""",
        "the server is gone",
    ),
    "a task that is not awaited": simulated(
        "An exception that is never retrieved fails the trial.",
        """
async def work():
    store.put(1)
    raise RuntimeError("never retrieved")

async def main(world):
    asyncio.get_running_loop().create_task(work())
    await asyncio.sleep(1)
""",
        "never retrieved",
    ),
    "a callback that raises": simulated(
        "An exception in a callback fails the trial.",
        """
def callback():
    raise RuntimeError("in a callback")

async def main(world):
    store.put(1)
    asyncio.get_running_loop().call_soon(callback)
    await asyncio.sleep(1)
""",
        "in a callback",
    ),
    "a store that writes real files": simulated(
        "A write that bypasses the simulated disk fails the trial and names the line.",
        """
async def serve(host):
    store.put(1)
    try:
        io.FileIO("real.log", "w").close()
    except BaseException:
        pass

async def main(world):
    host = world.host("server", serve)
    host.boot()
    await host.ended()
""",
        "scenario.py:",
    ),
    "a trial that terminates its process": simulated(
        "Losing a worker twice on the same trial fails that trial.",
        "async def main(world):\n    store.put(1)\n    os._exit(0)\n",
        "terminated its process",
        replay="red",
    ),
    "nothing is evaluated": simulated(
        "An exploration that evaluates no assertion of its target is not a pass.",
        "async def main(world):\n    await asyncio.sleep(1)\n",
        "",
        NOTHING,
        "because a token replays one trial and makes no claim about the target",
    ),
}

CHECK = "history check history.jsonl"
_HEADER = '{"type": "history", "schema": 1, "model": "kv"}\n'
_PUT = (
    '{"type": "call", "id": 1, "client": "a", "time": 0,'
    ' "request": {"op": "put", "key": "x", "value": "1"}}\n'
)
_GET = (
    '{"type": "call", "id": 2, "client": "b", "time": 20, "request": {"op": "get", "key": "x"}}\n'
)


def _returned(number, time, answer=None, outcome="ok"):
    response = f', "response": {answer}' if answer else ""
    return (
        f'{{"type": "return", "id": {number}, "time": {time}, "outcome": "{outcome}"{response}}}\n'
    )


_DONE = '{"answer": "done"}'


def history(promise, text, expected=RED, shows=""):
    return Case(promise, {"history.jsonl": text}, {CHECK: expected}, shows)


HISTORIES = {
    "a stale read": history(
        "A history that no order explains is illegal.",
        _HEADER
        + _PUT
        + _returned(1, 10, _DONE)
        + _GET
        + _returned(2, 30, '{"answer": "value", "value": null}'),
        shows="get x",
    ),
    "a stale read with the same timestamp": history(
        "Equal timestamps are legal, and the order in the file decides within a client.",
        _HEADER
        + _PUT
        + _returned(1, 10, _DONE)
        + _GET.replace('"b"', '"a"').replace("20", "10")
        + _returned(2, 10, '{"answer": "value", "value": null}'),
        shows="get x",
    ),
    "an empty file": history("An empty history is unreadable.", "", shows="empty"),
    "no operation": history("A history without operations is not a pass.", _HEADER, NOTHING),
    "nothing was answered": history(
        "A history in which nothing was answered is not a pass.",
        _HEADER + _PUT + _returned(1, 10, outcome="unknown"),
        NOTHING,
    ),
    "everything was refused": history(
        "A history in which nothing took effect is not a pass.",
        _HEADER + _PUT + _returned(1, 10, outcome="not-applied"),
        NOTHING,
    ),
    "no operation returned": history(
        "A history that was cut off before any answer is not a pass.", _HEADER + _PUT, NOTHING
    ),
    "a line in the middle is truncated": history(
        "A damaged line is reported with its number.",
        _HEADER + _PUT[:30] + "\n" + _GET + _returned(2, 30, '{"answer": "value", "value": null}'),
        shows="history.jsonl:2",
    ),
    "a file of another kind": history(
        "A file of another kind is rejected with an error that names it.",
        '{"some": "thing"}\n' * 3,
        shows="history.jsonl:1",
    ),
}

SOURCES = {
    "no source file": Case(
        "A check that read no source is not a pass.",
        {
            "pyproject.toml": '[tool.assertlib.targets.store]\nsource = ["nothing"]\ncatalog = []\n',
            "nothing/x.txt": "",
        },
        {"check": NOTHING, "check --strict": NOTHING},
        "",
    ),
    "a source that cannot be read": Case(
        "A source that cannot be parsed is an error.",
        {"store.py": "from assertlib import always\ndef broken(:\n"},
        {"check": RED, "check --strict": RED},
        "store.py",
    ),
    "an invariant that is not in any catalog": Case(
        "An assertion that cites an invariant missing from the catalog is an error.",
        {"store.py": 'from assertlib import always\nalways(1 < 2, "m", invariant="kv.promisse")\n'},
        {"check": RED, "check --strict": RED},
        "kv.promisse",
    ),
    "a catalog that cannot be read": Case(
        "A catalog that cannot be parsed is an error in every command.",
        {"catalog/kv.toml": "[promise\n"},
        {"check": RED, "check --strict": RED, "docs --check": RED},
        "kv.toml",
    ),
    "a condition that is a constant": Case(
        "A condition that can never be false is an error.",
        {"store.py": 'from assertlib import always\nalways(True, "m", invariant="kv.promise")\n'},
        {"check": RED, "check --strict": RED},
        "constant",
    ),
}

_SDK = (
    '{"antithesis_sdk": {"language": {"name": "Go", "version": "1.26"}, "sdk_version": "0.4.3",'
    ' "protocol_version": "1.1.0"}}\n'
)


def _asserted(condition):
    return (
        '{"antithesis_assert": {"hit": true, "must_hit": true, "assert_type": "always",'
        ' "display_type": "Always", "message": "values are not negative",'
        f' "condition": {condition}, "id": "values are not negative",'
        ' "location": {"class": "store", "function": "Put", "file": "store.go", "begin_line": 7,'
        ' "begin_column": 2}, "details": null}}\n'
    )


INGESTED = {
    "a violation recorded by another SDK": Case(
        "A violation that another SDK recorded is a violation.",
        {"out.jsonl": _SDK + _asserted("false")},
        {"ingest out.jsonl --full && report": RED, "ingest out.jsonl --full && gate": RED},
        "values are not negative",
    ),
    "a violation before a torn line": Case(
        "A torn last line does not affect any other line.",
        {"out.jsonl": _SDK + _asserted("false") + _asserted("true")[:40]},
        {"ingest out.jsonl --full && report": RED},
        "values are not negative",
    ),
    "a violation between lines that cannot be read": Case(
        "Lines that cannot be read are counted, and the rest are judged.",
        {"out.jsonl": "garbage\n" + _SDK + "{]\n" + _asserted("false")},
        {"ingest out.jsonl --full": RED, "report": RED},
        "out.jsonl",
    ),
    "an empty file": Case(
        "Output in which nothing was evaluated is not a pass.",
        {"out.jsonl": ""},
        {"ingest out.jsonl --full": NOTHING},
        "",
    ),
}

FAMILIES = {
    "Simulations": SIMULATIONS,
    "Histories": HISTORIES,
    "Sources": SOURCES,
    "Other SDKs": INGESTED,
}
