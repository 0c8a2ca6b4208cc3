"""
The source of a call as the running process loaded it.

A file may change while a process runs: by an edit, a checkout, a deployment.  Its current text is
shown as the condition of a violation only if it still compiles to the instructions that ran.

Imported after an assertion has evaluated to false, never before.
"""

from __future__ import annotations
import __future__

import dis
import io
import linecache
import tokenize
from itertools import chain, islice
from types import CodeType

from ..recording.system import system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    Span = tuple[int, int, int, int]
    """First and last line, first and last column in bytes."""

# Future imports change the bytecode that a compiler produces, so a comparison needs the same ones.
_FUTURES = 0
for _name in __future__.all_feature_names:
    _FUTURES |= getattr(__future__, _name).compiler_flag

# Instructions without an effect of their own, which come and go with the size of operands
# elsewhere in the function.
_IDLE = ("CACHE", "EXTENDED_ARG", "NOP", "RESUME")
_OPERATIONS = ("COMPARE_OP", "BINARY_OP", "CONTAINS_OP", "IS_OP", "UNARY_NOT", "LOAD_CONST")
_REWRITTEN = "@py_"
"""Prefix of the variables that pytest adds when it rewrites the asserts of a test."""


class ChangedError(Exception):
    """The file no longer holds the code that the process runs."""


def call_source(code: CodeType, instruction: int) -> str | None:
    """
    The text of the call at the offset *instruction* in *code*, in bytes; None without source.

    Raises:
        ChangedError: The file has changed since it was loaded.
    """
    span = _span_at(code, instruction)
    source = None if span is None else _source_of(code.co_filename)
    if span is None or source is None:
        return None
    if not _holds(source, code, span):
        raise ChangedError(code.co_filename)
    first, last, start, end = span
    # Columns count bytes of UTF-8.
    lines = [line.encode() for line in source.splitlines(keepends=True)[first - 1 : last]]
    # The end is cut first: for a call on one line, cutting the start would shift the end.
    lines[-1] = lines[-1][:end]
    lines[0] = lines[0][start:]
    return b"".join(lines).decode()


def _span_at(code: CodeType, instruction: int) -> Span | None:
    # One position for each code unit of two bytes.
    found = next(islice(code.co_positions(), instruction // 2, None), None)
    if found is None:
        return None
    first, last, start, end = found
    if first is None or last is None or start is None or end is None:
        return None
    return first, last, start, end


_files: dict[str, tuple[tuple[int, int, int], str]] = {}


def _source_of(filename: str) -> str | None:
    """The current text of *filename*; from `linecache` if it is not a file, as in a notebook."""
    try:
        # Read again only if it has changed: an assertion may be false many times.
        status = system.stat(filename)
        signature = status.st_mtime_ns, status.st_size, status.st_ino
        known = _files.get(filename)
        if known is None or known[0] != signature:
            with system.open_binary(filename) as file:
                data = file.read()
            encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
            text = io.TextIOWrapper(io.BytesIO(data), encoding).read()
            known = _files[filename] = signature, text
        return known[1]
    except (OSError, ValueError):
        return "".join(linecache.getlines(filename)) or None
    except (SyntaxError, UnicodeError):
        return None


_compiled: dict[tuple[str, int], tuple[str, CodeType | None]] = {}


def _holds(source: str, code: CodeType, span: Span) -> bool:
    """Whether *source* compiles to the same instructions in *span* as *code*."""
    # A file is compiled once for all assertions in it, until it changes.
    flags = code.co_flags & _FUTURES
    known = _compiled.get((code.co_filename, flags))
    if known is None or known[0] != source:
        known = _compiled[code.co_filename, flags] = source, _compile(source, code, flags)
    root = known[1]
    if root is None:
        return False
    mine = list(_instructions(code, span))
    # Several lambdas on one line have the same place; one that matches is enough.
    counterparts = _counterparts(root, code)
    return any(_is_same(mine, list(_instructions(each, span))) for each in counterparts)


def _compile(source: str, code: CodeType, flags: int) -> CodeType | None:
    try:
        # Without `dont_inherit` the future imports of this module would apply as well.
        made: CodeType = compile(source, code.co_filename, "exec", flags, dont_inherit=True)
    except (SyntaxError, ValueError):
        return None
    return made


def _counterparts(root: CodeType, code: CodeType) -> Iterator[CodeType]:
    """The code objects in *root* that are defined at the same place as *code*."""
    if code.co_name == root.co_name:
        # Code outside of functions may have been compiled in parts, as the cells of a notebook
        # are, with first lines of their own.
        yield root
        return
    place = code.co_qualname, code.co_firstlineno
    waiting = [root]
    while waiting:
        each = waiting.pop()
        if (each.co_qualname, each.co_firstlineno) == place:
            yield each
        waiting += [inner for inner in each.co_consts if isinstance(inner, CodeType)]


def _instructions(code: CodeType, span: Span | None) -> Iterator[tuple[str, object]]:
    """Name and operand of each instruction in *span*, without the targets of jumps."""
    # A target is an offset, which changes with the code around the call.
    jumps = {*dis.hasjrel, *dis.hasjabs}
    for each in dis.get_instructions(code):
        if each.opname in _IDLE or (span is not None and not _is_in(each, span)):
            continue
        if isinstance(each.argval, CodeType):
            # Its repr contains an address, so its instructions are compared.
            yield each.opname, tuple(_instructions(each.argval, None))
        else:
            yield each.opname, None if each.opcode in jumps else each.argrepr


def _is_in(instruction: dis.Instruction, span: Span) -> bool:
    at = instruction.positions
    if at is None or at.lineno is None or at.end_lineno is None:
        return False
    begin, end = (at.lineno, at.col_offset or 0), (at.end_lineno, at.end_col_offset or 0)
    return (span[0], span[2]) <= begin and end <= (span[1], span[3])


def _is_same(mine: list[tuple[str, object]], theirs: list[tuple[str, object]]) -> bool:
    if mine == theirs:
        return True
    if not any(_REWRITTEN in str(operand) for _, operand in mine):
        return False
    # Rewriting an assert adds instructions, and keeps its operators, constants and names.
    return set(_significant(mine)) == set(_significant(theirs))


def _significant(instructions: list[tuple[str, object]]) -> Iterator[tuple[str, object]]:
    names = ("LOAD_NAME", "LOAD_GLOBAL", "LOAD_FAST", "LOAD_DEREF", "LOAD_ATTR", "LOAD_METHOD")
    for name, operand in instructions:
        if name in chain(_OPERATIONS, names) and _REWRITTEN not in str(operand):
            yield name, operand
