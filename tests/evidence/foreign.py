"""
What the SDKs of Antithesis write, made from the description of their wire format.
"""

import json

GO = {"name": "Go", "version": "go1.22.1"}
RUST = {"name": "Rust", "version": "1.80.0"}
JAVA = {"name": "Java", "version": "21.0.2"}
CPP = {"name": "C++", "version": "17"}
DOTNET = {"name": ".NET", "version": "8.0.4"}
JAVASCRIPT = {"name": "JavaScript", "version": "v22.3.0"}
LANGUAGES = (GO, RUST, JAVA, CPP, DOTNET, JAVASCRIPT)

KINDS = {
    "Always": ("always", True),
    "AlwaysOrUnreachable": ("always", False),
    "Sometimes": ("sometimes", True),
    "Reachable": ("reachability", True),
    "Unreachable": ("reachability", False),
}


def sdk(language=GO):
    return {
        "antithesis_sdk": {
            "language": language, "sdk_version": "0.7.0", "protocol_version": "1.1.0",
        }
    }  # fmt: skip


def assertion(message, kind="Always", *, hit=True, condition=True, line=9, **more):
    assert_type, must_hit = KINDS[kind]
    body = {
        "condition": condition, "must_hit": must_hit, "hit": hit, "id": message,
        "message": message, "display_type": kind, "assert_type": assert_type,
        "location": {
            "file": "store.go", "function": "Put", "class": "Store", "begin_line": line,
            "begin_column": 0,
        },
        "details": None,
    }  # fmt: skip
    return {"antithesis_assert": {**body, **more}}


def declared(message, kind="Always"):
    return assertion(message, kind, hit=False, condition=False)


def guidance(message, left, right, *, maximize=False):
    body = {
        "guidance_type": "numeric", "id": message, "message": message,
        "location": {
            "file": "store.go", "function": "Put", "class": "", "begin_line": 3, "begin_column": 0,
        },
        "maximize": maximize, "hit": True, "guidance_data": {"left": left, "right": right},
    }  # fmt: skip
    return {"antithesis_guidance": body}


def text(*records):
    """*records*, a dict or a line each, as a file."""
    lines = (each if isinstance(each, str) else json.dumps(each) + "\n" for each in records)
    return "".join(lines)


def process(language=GO, *, broken=False):
    """What one process of a store leaves: every kind, declared and hit, and all else there is."""
    return text(
        sdk(language),
        declared("revision is positive"),
        declared("store fills up", "Sometimes"),
        declared("never reached", "Reachable"),
        declared("no way here", "Unreachable"),
        declared("optional", "AlwaysOrUnreachable"),
        assertion("revision is positive", details={"revision": 7}),
        assertion("store fills up", "Sometimes", condition=False),
        assertion("store fills up", "Sometimes"),
        {"antithesis_setup": {"status": "complete", "details": {"nodes": 3}}},
        {"leader elected": {"term": 3}},
        guidance("revision is positive", 7, 0),
        guidance("revision is positive", 2, 0),
        *([assertion("revision is positive", condition=False, details={"revision": -1})] * broken),
    )
