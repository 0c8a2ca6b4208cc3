"""
The sinks that log: structlog, logging, and the default that picks one of them.
"""

import pytest

STRUCTLOG = """
import json
import structlog
from structlog.testing import capture_logs

with capture_logs() as events:
    {source}
print(json.dumps(events, default=str))
"""


@pytest.fixture
def events(told):
    """The structlog events of a line of source."""

    def run(source, **variables):
        variables = {"ASSERTLIB_SINKS": "structlog", **variables}
        return told(STRUCTLOG.format(source=f"import store; {source}"), **variables)

    return run


# -- structlog --------------------------------------------------------------------------


def test_a_violation_is_an_error_with_all_that_is_known(events):
    (event,) = events("store.put(-1)")
    line = event.pop("location").partition(":")[2]
    assert line.isdigit()
    assert event == {
        "event": "assertlib.violation",
        "log_level": "error",
        "assertion": "a revision is positive",
        "kind": "always",
        "invariant": "kv.positive",
        "count": 1,
        "condition": "revision > 0",
        "values": {"revision": "-1"},
        "details": {"revision": -1},
    }


def test_the_first_true_hit_is_for_debugging_and_later_ones_are_silent(events):
    (event,) = events("store.put(1); store.put(2)")
    assert (event["event"], event["log_level"]) == ("assertlib.first_true", "debug")


def test_a_false_sometimes_is_silent(events):
    assert events("store.twice(1)") == []


def test_trial_and_seed_are_told(events):
    source = "from assertlib import trial; t = trial('s', seed=7); t.__enter__(); store.put(-1)"
    (event,) = events(source)
    assert (event["trial"], event["seed"]) == ("s", 7)


def test_structlog_is_never_configured(told):
    source = """
        import json, structlog, store
        store.put(1)
        try:
            store.put(-1)
        finally:
            print(json.dumps([structlog.is_configured()]))
    """
    assert told(source, ASSERTLIB_SINKS="structlog") == [False]
    assert told(source, ASSERTLIB_SINKS="log") == [False]


def test_a_later_configuration_of_structlog_is_heard(told):
    source = """
        import json, structlog, store
        store.put(1)
        seen = []
        def keep(logger, name, event):
            seen.append(event["event"])
            raise structlog.DropEvent
        structlog.configure(processors=[keep], cache_logger_on_first_use=True)
        store.put(-1)
        print(json.dumps(seen))
    """
    assert told(source, ASSERTLIB_SINKS="structlog") == ["assertlib.violation"]


# -- the default ------------------------------------------------------------------------

LOGGING = """
    import json, logging, sys
    records = []
    class Keep(logging.Handler):
        def emit(self, record):
            records.append([record.name, record.levelname, record.getMessage()])
    logging.getLogger().addHandler(Keep())
    logging.getLogger().setLevel(logging.DEBUG)
"""


def test_by_default_a_violation_is_logged_with_logging(told):
    source = f"""{LOGGING}
    import store
    store.put(1)
    store.put(-1)
    print(json.dumps([records, "structlog" in sys.modules]))
    """
    (first, violated), imported = told(source)
    assert first == ["assertlib", "DEBUG", "assertlib.first_true: a revision is positive"]
    assert violated[:2] == ["assertlib", "ERROR"]
    assert "assertlib.violation: always 'a revision is positive' is violated" in violated[2]
    assert "revision = -1" in violated[2]
    assert not imported


def test_structlog_that_is_imported_but_not_configured_is_not_used(told):
    source = f"""{LOGGING}
    import structlog
    import store
    store.put(-1)
    print(json.dumps(records))
    """
    ((name, level, _),) = told(source)
    assert (name, level) == ("assertlib", "ERROR")


def test_structlog_that_is_configured_is_used(told):
    source = f"""{LOGGING}
    import structlog
    seen = []
    def keep(logger, name, event):
        seen.append(event)
        raise structlog.DropEvent
    structlog.configure(processors=[keep])
    import store
    store.put(-1)
    print(json.dumps([records, seen]))
    """
    records, seen = told(source)
    assert records == []
    assert [event["event"] for event in seen] == ["assertlib.violation"]


def test_structlog_may_be_configured_between_two_hits(told):
    source = f"""{LOGGING}
    import structlog
    import store
    store.put(1)
    seen = []
    def keep(logger, name, event):
        seen.append(event["event"])
        raise structlog.DropEvent
    structlog.configure(processors=[keep])
    store.put(-1)
    print(json.dumps([len(records), seen]))
    """
    assert told(source) == [1, ["assertlib.violation"]]


def test_no_sinks_at_all_log_nothing(program):
    done = program("import store\nstore.put(-1)\n", ASSERTLIB_SINKS="")
    assert (done.stdout, done.stderr) == ("", "")


# -- sinks that fail --------------------------------------------------------------------

BROKEN = {
    "handle raises": """
        class Sink:
            def handle(self, hit): raise RuntimeError("no")
        def sink(): return Sink()
    """,
    "handle and repr raise": """
        class Sink:
            def handle(self, hit): raise RuntimeError("no")
            def __repr__(self): raise RuntimeError("no")
        def sink(): return Sink()
    """,
    "the factory raises": """
        def sink(): raise RuntimeError("no")
    """,
    "there is no factory": """
        unrelated = 1
    """,
    "the module raises": """
        raise RuntimeError("no")
    """,
    "the module is broken": """
        def sink(:
    """,
}


@pytest.fixture(params=BROKEN, ids=str)
def broken(request, project):
    project.write("sinks/__init__.py", "")
    project.write("sinks/broken.py", BROKEN[request.param])
    return "sinks.broken"


def test_a_broken_sink_never_reaches_the_store(program, broken):
    source = "import store\nprint(store.put(1), store.put(-1), store.put(2))\n"
    done = program(source, ASSERTLIB_SINKS=broken)
    assert done.stdout == "True False True\n"
    assert "Traceback" not in done.stderr


def test_a_broken_sink_costs_no_hit_and_is_no_trouble_of_the_assertion(program, broken, project):
    run = project.root / ".assertlib" / "runs" / "1"
    source = "import store\nstore.put(1), store.put(-1), store.put(2)\n"
    program(source, ASSERTLIB_SINKS=broken, ASSERTLIB_RUN_DIR=str(run))
    report = project.report()
    (row,) = [each for each in report["assertions"] if each["true"]]
    assert (row["true"], row["false"]) == (2, 1)
    assert report["troubles"] == []


def test_a_broken_sink_does_not_keep_a_violation_from_being_raised(program, broken):
    source = """
        import store
        try:
            store.put(-1)
        except AssertionError:
            print("raised")
    """
    done = program(source, ASSERTLIB_SINKS=broken, ASSERTLIB="raise")
    assert done.stdout == "raised\n"


def test_a_broken_sink_keeps_the_others_working(program, broken):
    done = program("import store\nstore.put(-1)\n", ASSERTLIB_SINKS=f"{broken},log")
    assert "assertlib.violation: always 'a revision is positive'" in done.stderr


def test_a_sink_that_does_not_exist_is_said_once(program):
    source = "import store\nstore.put(1), store.put(-1)\n"
    done = program(source, ASSERTLIB_SINKS="otle")
    assert done.stderr.count("otle") == 2, done.stderr
    assert "Traceback" not in done.stderr


def test_a_sink_may_assert_itself(program, project):
    project.write("sinks/__init__.py", "")
    project.write(
        "sinks/asserting.py",
        """
        from assertlib import always
        class Sink:
            def handle(self, hit):
                always(False, "a sink is told")
        def sink(): return Sink()
        """,
    )
    done = program("import store\nprint(store.put(-1))\n", ASSERTLIB_SINKS="sinks.asserting")
    assert done.stdout == "False\n"


def test_a_sink_can_be_an_object(told):
    source = """
        import json, store
        from assertlib import configure
        class Sink:
            hits = []
            def handle(self, hit): self.hits.append([hit.message, hit.condition, hit.is_violation])
        configure(sinks=[Sink()])
        store.put(1), store.put(-1)
        print(json.dumps(Sink.hits))
    """
    assert told(source) == [
        ["a revision is positive", True, False],
        ["a revision is positive", False, True],
    ]


# -- trouble with recording -------------------------------------------------------------------


def test_trouble_with_recording_is_a_structlog_event(events):
    (event,) = events("from assertlib import always; always(print, 'never called')")
    assert (event["event"], event["log_level"]) == ("assertlib.trouble", "warning")
    assert "never called" in event["text"]


def test_trouble_goes_where_the_default_sink_logs(told):
    source = """
        import json, structlog, store
        from assertlib import always
        seen = []
        def keep(logger, name, event):
            seen.append(event["event"])
            raise structlog.DropEvent
        structlog.configure(processors=[keep])
        always(print, "never called")
        print(json.dumps(seen))
    """
    assert told(source) == ["assertlib.trouble"]


def test_without_a_sink_that_takes_it_trouble_is_logged(program):
    source = "from assertlib import always\nalways(print, 'never called')\n"
    done = program(source, ASSERTLIB_SINKS="")
    assert "never called" in done.stderr


def test_structlog_renders_through_the_standard_library_if_that_is_configured(told):
    source = """
        import json, logging, structlog, store
        records = []
        class Keep(logging.Handler):
            def emit(self, record):
                records.append([record.name, record.levelname])
        logging.getLogger().addHandler(Keep())
        logging.getLogger().setLevel(logging.DEBUG)
        structlog.configure(
            logger_factory=structlog.stdlib.LoggerFactory(),
            wrapper_class=structlog.stdlib.BoundLogger,
            processors=[structlog.stdlib.filter_by_level, structlog.processors.JSONRenderer()],
        )
        store.put(1), store.put(-1)
        print(json.dumps(records))
    """
    assert told(source, ASSERTLIB_SINKS="structlog") == [
        ["assertlib", "DEBUG"],
        ["assertlib", "ERROR"],
    ]


def test_a_sink_whose_trouble_raises_reaches_nobody(program):
    source = """
        from assertlib import always, configure
        class Sink:
            def handle(self, hit): pass
            def trouble(self, text): raise RuntimeError("no")
        configure(sinks=[Sink()])
        print(always(print, "never called"))
    """
    done = program(source)
    assert done.stdout == "False\n"
    assert "Traceback" not in done.stderr


def test_hits_of_other_threads_that_come_while_a_sink_is_loaded_are_told(told, project):
    project.write("sinks/__init__.py", "")
    project.write(
        "sinks/slow.py",
        """
        import threading
        import assertlib
        hits = []
        class Sink:
            def handle(self, hit):
                hits.append(hit.message)
        def other():
            assertlib.always(False, "meanwhile")
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assertlib.always(False, "from inside")
        def sink(): return Sink()
        """,
    )
    source = """
        import json, store
        store.put(-1)
        from sinks.slow import hits
        print(json.dumps(sorted(hits)))
    """
    assert told(source, ASSERTLIB_SINKS="sinks.slow") == [
        "a revision is positive",
        "from inside",
        "meanwhile",
    ]
