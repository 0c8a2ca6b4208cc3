"""
Mutations of files that know what the files are made of: bytes, lines, JSON, TOML, counter cells,
and what may lie there instead of a file.
"""

import json
import os
import re
import socket
import struct

NUMBERS = (
    0, 1, 2, 3, -1, 255, 256, 2**31 - 1, 2**31, 2**32, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1,
    2**64, 10**30, 1.5, float("nan"), float("inf"), -1e308,
)  # fmt: skip
TEXTS = (
    "", "\0", "\ud800", "a\nb", "\x1b[2J", "0", "null", "é" * 300, "x" * 70_000, "../../etc/passwd",
    "t0", "base", "always", "sometimes", "unreachable", "set", "kv.promise", "store.py",
    "values are not negative", "a large value", "all", "begin", "left", "1" * 5000, "{", "[[bucket=",
)  # fmt: skip
TOML_VALUES = (
    "5", "-1", "true", '""', "[]", "{}", "[[]]", '"\\u0000"', "1979-05-27", "inf", "nan", "1e400",
    '"' + "x" * 70_000 + '"', "[" * 500 + "]" * 500, '["a", 5]', "{a = {b = 1}}", '"kv.promise"', "9" * 5000,
)  # fmt: skip
FIRST_SLOT = 8
_ENOUGH = 32 << 20


def mutate(dice, path):
    """Change the file at *path* in one way; the name of that way."""
    if path.stat().st_size > _ENOUGH:
        return f"{path.name}: large already"
    if dice.random() < 0.04:
        return _replaced(dice, path)
    kinds = [_bytes_changed]
    if path.suffix == ".counts":
        kinds += [_cells_changed] * 6
    elif path.suffix in (".json", ".jsonl"):
        kinds += [_json_changed] * 6 + [_lines_changed] * 3
    elif path.suffix == ".toml":
        kinds += [_toml_changed] * 5 + [_lines_changed] * 3
    return dice.choice(kinds)(dice, path)


# -- whole files -----------------------------------------------------------------------------


def _replaced(dice, path):
    """Put something else where the file was."""
    kind = dice.choice(("gone", "empty", "fifo", "link", "directory", "socket", "device", "sparse"))
    whole = path.read_bytes()
    path.unlink()
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(dice.choice(("/etc/passwd", "nowhere", "/dev/zero", path.name)))
    elif kind == "directory":
        path.mkdir()
    elif kind == "socket":
        bind_socket(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "sparse":
        path.write_bytes(whole)
        # As much as a process may use, so that whoever reads it whole fails.  Not more: what is
        # ingested is read twice, and a gigabyte of holes takes about two seconds each time.
        os.truncate(path, 1 << 30)
    return f"{path.name}: {kind}"


def bind_socket(path):
    """Leave a socket at *path*."""
    before = os.getcwd()
    os.chdir(path.parent)
    try:
        # Names of sockets may have 108 bytes, and temporary directories are deep.
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path.name)
    finally:
        os.chdir(before)


# -- bytes and lines -------------------------------------------------------------------------


def _bytes_changed(dice, path):
    data = bytearray(path.read_bytes())
    start = dice.randrange(len(data) + 1)
    end = min(len(data), start + dice.choice((1, 2, 8, 100, 1000)))
    kind = dice.choice(("flip", "cut", "delete", "double", "insert"))
    if kind == "flip" and start < len(data):
        data[start] ^= 1 << dice.randrange(8)
    elif kind == "cut":
        del data[start:]
    elif kind == "delete":
        del data[start:end]
    elif kind == "double":
        data[end:end] = data[start:end]
    else:
        data[start:start] = dice.randbytes(dice.choice((1, 4, 64)))
    path.write_bytes(data)
    return f"{path.name}: {kind} at {start}"


def _lines_changed(dice, path):
    lines = path.read_bytes().splitlines(keepends=True) or [b""]
    at, other = dice.randrange(len(lines)), dice.randrange(len(lines))
    kind = dice.choice(("drop", "double", "swap", "split", "join", "move", "long", "mark"))
    if kind == "drop":
        del lines[at]
    elif kind == "double":
        lines.insert(other, lines[at])
    elif kind == "swap":
        lines[at], lines[other] = lines[other], lines[at]
    elif kind == "split":
        middle = dice.randrange(len(lines[at]) + 1)
        lines[at] = lines[at][:middle] + b"\n" + lines[at][middle:]
    elif kind == "join":
        lines[at] = lines[at].removesuffix(b"\n")
    elif kind == "move":
        lines.insert(other, lines.pop(at))
    elif kind == "long":
        lines[at] = lines[at][:-2] + b" " * dice.choice((1000,) * 9 + (17 << 20,)) + lines[at][-2:]
    else:
        lines[0] = dice.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"\x1f\x8b")) + lines[0]
    path.write_bytes(b"".join(lines))
    return f"{path.name}: {kind} line {at + 1}"


# -- JSON ------------------------------------------------------------------------------------


def _json_changed(dice, path):
    lines = path.read_bytes().splitlines(keepends=True)
    whole = path.name == "replays.json"
    at = 0 if whole else dice.randrange(len(lines) or 1)
    try:
        value = json.loads(b"".join(lines) if whole else lines[at])
        place = dice.choice(list(_places(value)) or [()])
        text = _changed(dice, value, place)
    except (ValueError, RecursionError, IndexError):
        # Mutated before, into what is not JSON or nests too deeply.
        return _bytes_changed(dice, path)
    lines[0 if whole else at] = text.encode("utf-8", "surrogatepass") + b"\n"
    if whole:
        del lines[1:]
    path.write_bytes(b"".join(lines))
    return f"{path.name}:{at + 1}: {'.'.join(map(str, place))} in {text[:60]!r}"


def _places(value, before=()):
    """The way to everything inside *value*, from the outside in."""
    items = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, inner in items:
        yield (*before, key)
        yield from _places(inner, (*before, key))


def _changed(dice, value, place):
    """*value* as JSON, with what is at *place* changed."""
    if not place:
        return _nasty(dice)
    around = value
    for key in place[:-1]:
        around = around[key]
    key = place[-1]
    kind = dice.choice(
        ("replace", "replace", "replace", "near", "remove", "rename", "add", "steal")
    )
    if kind == "near" and isinstance(around[key], int):
        around[key] += dice.choice((-1, 1, 10, -(10**9), 10**9))
    elif kind == "near" and isinstance(around[key], str):
        around[key] = around[key][:-1] + dice.choice(("", "x", "\0", "\ud800"))
    elif kind == "remove":
        del around[key]
    elif kind == "rename" and isinstance(around, dict):
        around[dice.choice(TEXTS)] = around.pop(key)
    elif kind == "add" and isinstance(around, dict):
        around[dice.choice(TEXTS)] = dice.choice((*NUMBERS, *TEXTS))
    elif kind == "add":
        around *= 2 if len(around) > 1000 else dice.choice((2, 1000))
    elif kind == "steal":
        around[key] = None
        others = [_at(value, other) for other in _places(value)]
        around[key] = json.loads(json.dumps(dice.choice(others)))
    else:
        around[key] = _MARK
        return json.dumps(value).replace(json.dumps(_MARK), _nasty(dice), 1)
    return json.dumps(value)


_MARK = "here is what is changed"


def _at(value, place):
    for key in place:
        value = value[key]
    return value


def _nasty(dice):
    """A JSON text that is seldom expected."""
    return dice.choice((
        lambda: json.dumps(dice.choice(NUMBERS)),
        lambda: json.dumps(dice.choice(TEXTS)),
        lambda: dice.choice(("null", "true", "false", "[]", "{}", "[null]", '{"": null}')),
        lambda: "[" * 100_000 + "]" * 100_000,
        lambda: '{"a":' * 190 + "1" + "}" * 190,
        lambda: '{"a":' * 900 + "1" + "}" * 900,
        lambda: "[" + "0," * dice.choice((10, 200_000)) + "0]",
        lambda: "9" * 6000,
        lambda: "1e999",
    ))()  # fmt: skip


# -- TOML ------------------------------------------------------------------------------------


def _toml_changed(dice, path):
    text = path.read_bytes().decode("utf-8", "replace")
    found = list(re.finditer(r"(?m)^([\w\"-]+) = (.+)$", text))
    if not found:
        return _bytes_changed(dice, path)
    chosen = dice.choice(found)
    name, value = chosen[1], chosen[2]
    kind = dice.choice(("value", "value", "name", "twice", "table"))
    if kind == "value":
        value = dice.choice(TOML_VALUES)
    elif kind == "name":
        name = dice.choice(("x", '""', '"\\u0000"', "x" * 5000, "a.b.c", "schema"))
    new = f"{name} = {value}"
    if kind == "twice":
        new += f"\n{chosen[0]}"
    elif kind == "table":
        new = (
            dice.choice(("[x]", "[[x]]", "[a.b.c]", "[assertion]", "[" + "a." * 500 + "a]"))
            + "\n"
            + new
        )
    text = text[: chosen.start()] + new + text[chosen.end() :]
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    return f"{path.name}: {kind} of {chosen[1]}"


# -- counters --------------------------------------------------------------------------------


def _cells_changed(dice, path):
    data = bytearray(path.read_bytes())
    kind = dice.choice(("header", "slot", "slot", "cut", "longer", "twin"))
    if kind == "cut" or len(data) < 64:
        size = dice.randrange(len(data) + 1)
        path.write_bytes(data[:size])
        return f"{path.name}: cut to {size}"
    if kind == "longer":
        path.write_bytes(data + bytes(dice.choice((1, 8, 4096, 5 << 20))))
        return f"{path.name}: longer"
    if kind == "twin":
        one, other = (64 + 32 * dice.randrange(4) for _ in range(2))
        data[one : one + 16] = data[other : other + 16]
        path.write_bytes(data)
        return f"{path.name}: the slot at {one} is named as that at {other}"
    most = min(len(data) // 8, FIRST_SLOT + 4 * 6)
    cell = dice.randrange(FIRST_SLOT) if kind == "header" else dice.randrange(FIRST_SLOT, most or 9)
    value = dice.choice(
        (0, 1, 2, 5, 255, 257, 513, 769, 2**17 + 1, 2**63, 2**64 - 1, dice.getrandbits(64))
    )
    if (cell + 1) * 8 <= len(data):
        struct.pack_into("=Q", data, cell * 8, value)
    path.write_bytes(data)
    return f"{path.name}: cell {cell} is {value}"
