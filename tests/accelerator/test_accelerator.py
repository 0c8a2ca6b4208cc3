"""
The accelerator itself: threads without the GIL, references, memory, odd arguments.
"""

import gc
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import textwrap
import tracemalloc
from pathlib import Path
from types import FunctionType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import assertlib
from assertlib import Invariant, always
from assertlib.recording.accelerator import described, speed
from assertlib.recording.counters import Counters
from assertlib.recording.fast_path import Evaluated
from assertlib.recording.reader import read_shards

from ..forms import by_form, has_long_form
from ..support import child_environment, fuzzed

HERE = Path(__file__).parent
SOURCE = Path(assertlib.__file__).parent

needs_accelerator = pytest.mark.skipif(speed is None, reason="Python counts alone here")


def test_the_accelerator_is_in_use_where_it_could_be_built():
    if os.environ.get("ASSERTLIB_PURE"):
        assert described() == "pure Python (ASSERTLIB_PURE is set)"
    elif shutil.which("cc"):
        assert described() == "accelerated"


# -- threads -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pthreads(tmp_path_factory):
    """A module made of the accelerator's source that starts threads by itself."""
    built = (
        tmp_path_factory.mktemp("pthreads") / f"pthreads{sysconfig.get_config_var('EXT_SUFFIX')}"
    )
    include = [f"-I{sysconfig.get_path('include')}", f"-I{SOURCE}"]
    options = ["-O2", "-shared", "-fPIC", "-pthread", *include]
    subprocess.run(["cc", *options, HERE / "pthreads.c", "-o", built], check=True)
    spec = importlib.util.spec_from_file_location("pthreads", built)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("untold", [False, True])
def test_hits_of_threads_without_the_gil_are_counted_exactly(pthreads, tmp_path, untold):
    counters = Counters(str(tmp_path / "hits.counts"), [], os.getpid())
    number, (cells, index) = counters.take_slot()
    counters.name_slot(number, 1, 1)
    cell = pthreads.Cell(cells, index + 2)
    pthreads.hammer(cell, 16, 1_000_000, untold)
    assert counters.totals()[0] == [16_000_000]
    counters.close()


# -- references and memory -----------------------------------------------------------


CALLS = {
    "always": "always(True, 'claim', {'a': number}, invariant='a.b')",
    "sometimes": "sometimes(False, 'claim')",
    "reachable": "reachable('claim')",
    "a bound always": "bound(True)",
    "a bound sometimes": "bound_sometimes(False)",
    "a bound reachable": "point()",
    "a comparison of ints": "always_greater_than(number, -1, 'greater')",
    "a comparison of floats": "sometimes_less_than(2.5, number % 2 + 0.5, 'less')",
    "propositions": "sometimes_all({'a': True, 'b': False}, 'all')",
    "what is handed over": "always(lambda: True, 'claim')",
}

LEAKS = """
    import gc, sys, tracemalloc
    from assertlib import *

    claim = Invariant("a.b")
    bound, point = claim.declare_always("bound"), claim.declare_reachable("point")
    bound_sometimes = claim.declare_sometimes("bound sometimes")
    held = (True, False, None, "claim", "greater", "less", "all")

    def hits(count):
        for number in range(count):
            CALL

    def references():
        gc.collect()
        return [sys.getrefcount(each) for each in held]

    hits(100)
    tracemalloc.start()
    hits(100)
    before, memory = references(), tracemalloc.get_traced_memory()[0]
    hits(COUNT)
    more = [now - then for now, then in zip(references(), before)]
    print([number for number in more if abs(number) > 100], tracemalloc.get_traced_memory()[0] - memory)
"""


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@has_long_form
def test_a_million_calls_leave_no_reference_and_no_memory_behind(children, call):
    outcome = children.run(
        LEAKS.replace("CALL", call).replace("COUNT", by_form("20_000", "1_000_000"))
    )
    references, memory = outcome.out.rsplit(" ", 1)
    assert references == "[]"
    assert int(memory) < 10_000


@pytest.mark.parametrize("abi", ["", "stale.ABI = 0", "stale.ABI = 10_000"])
def test_a_build_of_another_source_is_refused_in_one_line_and_hits_are_counted(tmp_path, abi):
    script = f"""
        import sys, types
        stale = sys.modules["assertlib._speed"] = types.ModuleType("assertlib._speed")
        {abi}
        from assertlib import always
        from assertlib.recording.accelerator import described
        for _ in range(3): always(True, "counted")
        print(described())
    """
    run = tmp_path / "run"
    environment = child_environment(ASSERTLIB_RUN_DIR=str(run))
    environment.pop("ASSERTLIB_PURE", None)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for text in (done.stdout, done.stderr):
        assert "the accelerator was built from another version" in text
        assert "pip install" in text
        assert len(text.splitlines()) == 1
    (shard,) = read_shards(str(run))
    assert list(shard.true) == [3]


@needs_accelerator
def test_bound_assertions_that_are_dropped_give_their_memory_back():
    def take_and_drop():
        cells = memoryview(bytearray(64)).cast("Q")
        for _ in range(1000):
            cell = speed.Cell(cells, 3)
            function = accelerated("bound condition")
            speed.bind(function, True, cell)
            function(True)
            speed.bind(function, True, None)

    take_and_drop()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    take_and_drop()
    gc.collect()
    assert tracemalloc.get_traced_memory()[0] - before < 2000
    tracemalloc.stop()


# -- arguments -----------------------------------------------------------------------


SHAPES = (*("condition", "point", "bound condition", "bound point", "comparison", "propositions"),)


def accelerated(
    shape,
    *,
    relation=2,
    direction=1,
    tables=({}, {}),
    marks=None,
    samples=None,
    told=None,
    owner=None,
):
    def careful(*args, **keywords):
        if told is not None:
            told.append((args, keywords))
        return "careful"

    names = ("careful", "tests", "careful(*args)\n--\n\nDoc.", (careful, ()))
    maps = ({} if marks is None else marks, {} if samples is None else samples)
    number = SHAPES.index(shape)
    return speed.accelerate(careful, *names, *tables, *maps, number, relation, direction, owner)


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**65), 2**65),
    st.floats(),
    st.text(),
    st.sampled_from(["claim", "b", ""]),
    st.dictionaries(st.text(), st.booleans() | st.integers() | st.none(), max_size=5),
    st.builds(object),
    st.sampled_from([lambda: True, lambda: False, lambda: 1, lambda: 1 / 0, len, lambda x: x]),
)


calls = st.tuples(
    st.lists(values, max_size=6),
    st.dictionaries(st.sampled_from(["details", "invariant", "every", "x", "é"]), values),
)


def is_handed_over(given, told):
    """Whether a call arrived as it was, or with what its condition came to when it ran."""
    pairs = zip(given, told, strict=True)
    return all(
        one is other
        or (isinstance(one, FunctionType) and (type(other) is Evaluated or type(other) is bool))
        for one, other in pairs
    )


@needs_accelerator
@has_long_form
def test_any_call_is_counted_once_or_handed_over_untouched():
    @settings(database=None)
    @given(
        shape=st.sampled_from(SHAPES),
        relation=st.integers(0, 5),
        direction=st.integers(-1, 1),
        owner=st.sampled_from([None, object]),
        samples=st.dictionaries(st.sampled_from(["claim", "b"]), values),
        marks=st.dictionaries(st.sampled_from(["claim", "b"]), st.floats() | values),
        odd=st.lists(values, max_size=3),
        calls=st.lists(calls, max_size=20),
    )
    def check(shape, relation, direction, owner, samples, marks, odd, calls):
        cells = memoryview(bytearray(64)).cast("Q")
        tables = ({"claim": speed.Cell(cells, 0)}, {"claim": speed.Cell(cells, 1), "b": "odd"})
        for number, each in enumerate(odd):
            tables[number % 2][str(number)] = each
        told = []
        how = {"relation": relation, "direction": direction, "tables": tables, "marks": marks}
        owner = None if shape.startswith("bound") else owner
        function = accelerated(shape, told=told, samples=samples, owner=owner, **how)
        if not owner:
            speed.bind(function, True, speed.Cell(cells, 2))
            speed.bind(function, False, speed.Cell(cells, 3))
        for given_args, keywords in calls:
            args = [object(), *given_args] if owner else given_args
            before, handed = sum(cells), len(told)
            result = function(*args, **keywords)
            if result == "careful":
                ((told_args, told_keywords),) = told[handed:]
                assert is_handed_over(args, told_args)
                assert told_keywords == keywords
                assert sum(cells) == before
            else:
                assert type(result) is bool
                assert told[handed:] == []
                assert sum(cells) == before + 1

    fuzzed(check)


@needs_accelerator
@given(index=st.integers(), other=values)
def test_a_cell_outside_of_its_memory_is_refused(index, other):
    cells = memoryview(bytearray(64)).cast("Q")
    if 0 <= index < len(cells):
        speed.add(speed.Cell(cells, index))
        assert cells[index] == 1
    else:
        with pytest.raises((ValueError, OverflowError)):
            speed.Cell(cells, index)
    with pytest.raises((TypeError, BufferError)):
        speed.Cell(other, 0)
    with pytest.raises(TypeError):
        speed.add(other)
    with pytest.raises(TypeError):
        speed.increment_unless_power_of_two(other)


@needs_accelerator
@pytest.mark.parametrize(
    "memory",
    [
        memoryview(bytearray(64)),
        memoryview(bytearray(64)).cast("d"),
        memoryview(bytearray(64)).cast("Q")[::2],
        memoryview(bytearray(64)).cast("Q", (2, 4)),
        memoryview(bytes(64)).cast("Q"),
        memoryview(bytearray(65))[1:].cast("Q"),
    ],
    ids=["bytes", "floats", "strided", "two dimensions", "read only", "unaligned"],
)
def test_memory_that_holds_no_counters_is_refused(memory):
    with pytest.raises((ValueError, BufferError)):
        speed.Cell(memory, 0)


@needs_accelerator
@given(args=st.lists(values | st.just({}) | st.just(()), max_size=13))
def test_wrong_arguments_of_the_accelerator_are_refused(args):
    with pytest.raises((TypeError, ValueError, OverflowError)):
        speed.accelerate(*args)
    with pytest.raises(TypeError):
        speed.bind(*args)


@needs_accelerator
def test_a_method_of_no_class_or_of_a_bound_shape_is_refused():
    with pytest.raises(TypeError, match="needs a class"):
        accelerated("condition", owner="Owner")
    with pytest.raises(TypeError, match="needs a class"):
        accelerated("bound point", owner=object)


@needs_accelerator
def test_a_shape_that_is_none_is_refused():
    with pytest.raises(ValueError, match="no shape 6"):
        speed.accelerate(len, "n", "m", "d", (len, ()), {}, {}, {}, {}, 6, 0, 0, None)
    with pytest.raises(ValueError, match="no shape -1"):
        speed.accelerate(len, "n", "m", "d", (len, ()), {}, {}, {}, {}, -1, 0, 0, None)


def test_sixteen_threads_lose_nothing(children):
    def scenario():
        import threading

        from assertlib.recording.recorder import recorder

        claim = Invariant("a.b")
        bound = claim.declare_always("bound")

        def hits():
            for _ in range(1_000_000):
                bound(True)
                always(True, "direct")

        threads = [threading.Thread(target=hits) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return {message: (true, false) for _, message, _, true, false in recorder.snapshot()}

    outcome = children.run(scenario)
    assert outcome.value == {"bound": (16_000_000, 0), "direct": (16_000_000, 0)}
    assert outcome.counts == outcome.value
