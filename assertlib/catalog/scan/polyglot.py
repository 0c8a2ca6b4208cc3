"""
Assertions in Go and Rust, into the same sites and findings as those in Python.

Read with tree-sitter, which comes with the extra ``polyglot``.  In Go these are the calls of the
Antithesis SDK, `verify.Verify` and `verify.Assert` as etcd has them (its tests on Antithesis turn
them into always), and ``// gofail: var NAME type`` lines, which say what is worth reaching (they
become a reachable of that name there).  In Rust they are the macros of the Antithesis SDK.

A fingerprint is made of the tokens of the condition, so formatting leaves it alone and another
name of a variable does not.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...model import ALWAYS, REACHABLE, Kind, Site
from ..findings import Finding
from ..positions import Position
from ..rules import RULES
from .calls import parts_of, signature
from .fingerprint import digest_of
from .references import PRIMITIVES
from .sources import LANGUAGES

if TYPE_CHECKING:
    from tree_sitter import Node, Tree

    Nodes = Sequence[Node]

SUFFIXES = tuple(suffix for suffix in LANGUAGES if suffix != ".py")
_MARKS = {".go": (b"antithesis", b"gofail:", b"verify."), ".rs": (b"antithesis",)}
_SKIPPED = {".go": "vendor", ".rs": "target"}
"""Directories of other people's code, and of what was built."""

_CONDITION_LIMIT = 300
_GO_FORMS = {"".join(map(str.title, form.split("_"))): form for form in PRIMITIVES}
_RUST_FORMS = {f"assert_{form}": form for form in PRIMITIVES}
_TRUTHS = ("true", "false")


def _has_assertions(name: str, data: bytes) -> bool:
    """Whether the file *name* may hold one, and is not somebody else's."""
    suffix = name[name.rfind(".") :]
    return is_own(name) and any(mark in data for mark in _MARKS.get(suffix, ()))


def is_own(name: str) -> bool:
    """Whether the file *name* is neither somebody else's nor built."""
    *directories, file = name.split("/")
    return _SKIPPED.get(file[file.rfind(".") :]) not in directories


def scan_foreign(sources: dict[str, bytes]) -> tuple[list[Site], list[Finding]]:
    """The sites in *sources*, by file name, and what cannot be catalogued."""
    wanted = {name: data for name, data in sources.items() if _has_assertions(name, data)}
    sites: list[Site] = []
    findings: list[Finding] = []
    if not wanted:
        return sites, findings
    try:
        languages = {".go": _go(), ".rs": _rust()}
    except ImportError as error:
        text = f"Go and Rust are not read (files: {len(wanted)}): {error.name} is not installed"
        findings.append(Finding(min(wanted), 0, 0, "AL120", text, RULES["AL120"].remedy))
        return sites, findings
    for name, data in sorted(wanted.items()):
        language = languages[name[name.rfind(".") :]]
        _File(name, data, language, sites, findings).take(language.parse(data))
    return sites, findings


@dataclass(frozen=True)
class _Language:
    """What differs from one language to the other."""

    parse: Callable[[bytes], Tree]
    calls: Callable[[Node], Iterator[_Call]]
    literal: Callable[[Nodes], str | None]
    knows_no_types: bool = False


@dataclass(frozen=True)
class _Call:
    """
    Something that asserts.

    Attributes:
        form: Name of the primitive in Python, or of what else it is.
        kind: What it claims, where the form does not tell.
        arguments: The nodes of each.
        message: Its message, where it is no argument.
        function, owner: Where it stands.
    """

    form: str
    node: Node
    arguments: tuple[Nodes, ...]
    function: str
    owner: str
    kind: Kind | None = None
    message: str | None = None


class _File:
    """Finds the assertions of one file."""

    def __init__(
        self,
        name: str,
        data: bytes,
        language: _Language,
        sites: list[Site],
        findings: list[Finding],
    ) -> None:
        self._name = name
        self._data = data
        self._language = language
        self._sites = sites
        self._findings = findings

    def take(self, tree: Tree) -> None:
        """Take all calls of *tree*."""
        for call in self._language.calls(tree.root_node):
            self._take(call)
        for node in _errors(tree.root_node):
            # What stands there, and what it hides, is not known; one is enough.
            self._find("AL109", node, "cannot be parsed from here on")
            break

    def _take(self, call: _Call) -> None:
        if call.kind is not None:
            kind, place = call.kind, len(call.arguments) - 1
        else:
            kind, place = parts_of(call.form)[0].kind, signature(call.form).index("message")
        message = call.message
        if message is None:
            place, message = self._message(call.arguments, place)
        conditions = call.arguments[:place]
        if message is None:
            given = call.arguments[place] if place < len(call.arguments) else ()
            shown = _text(given)[:80] or "it has none"
            self._find("AL104", call.node, f"the message is not a literal: {shown}")
            return
        if len(conditions) == 1 and _text(conditions[0]) in _TRUTHS:
            self._find("AL107", call.node, f"the condition is the constant {_text(conditions[0])}")
        line, column = self._place(call.node)
        self._sites.append(
            Site(
                kind=kind,
                message=message,
                file=self._name,
                qualname=f"{call.owner}.{call.function}" if call.owner else call.function,
                line=line,
                column=column,
                condition=", ".join(map(_text, conditions))[:_CONDITION_LIMIT],
                fingerprint=_fingerprint(call.form, conditions),
                form=call.form,
                owner=call.owner,
            )
        )

    def _message(self, arguments: Sequence[Nodes], place: int) -> tuple[int, str | None]:
        """
        The message and its place: the first literal from where it should be.

        What stands before it may be more arguments to us than to Rust, which knows types.
        """
        last = len(arguments) if self._language.knows_no_types else place + 1
        for number, argument in enumerate(arguments[place:last], place):
            message = self._language.literal(argument)
            if message is not None:
                return number, message
        return place, None

    def _find(self, code: str, node: Node, text: str) -> None:
        remedy = RULES[code].remedy.partition(";")[0]
        self._findings.append(Finding(self._name, *self._place(node), code, text, remedy))

    def _place(self, node: Node) -> Position:
        """Line, and column in characters, from 1; the parser counts bytes."""
        row, column = node.start_point
        before = self._data[node.start_byte - column : node.start_byte]
        return row + 1, len(before.decode("utf-8", "replace")) + 1


def _text(nodes: Nodes) -> str:
    """The source of *nodes* on one line."""
    if not nodes:
        return ""
    root = nodes[0]
    while root.parent is not None:
        root = root.parent
    begin = nodes[0].start_byte - root.start_byte
    data = (root.text or b"")[begin : nodes[-1].end_byte - root.start_byte]
    return " ".join(data.decode("utf-8", "replace").split())


def _fingerprint(form: str, conditions: Iterable[Nodes]) -> str:
    parts = ["\0".join(token for node in nodes for token in _tokens(node)) for nodes in conditions]
    return digest_of("\n".join([form, *parts]))


def _tokens(node: Node) -> Iterator[str]:
    """The leaves of *node*, without comments."""
    rest = [node]
    while rest:
        each = rest.pop()
        if "comment" in each.type:
            continue
        if each.child_count:
            rest.extend(reversed(each.children))
        else:
            yield (each.text or b"").decode("utf-8", "replace")


def _errors(root: Node) -> Iterator[Node]:
    """The outermost nodes that could not be parsed, in order, or are missing."""
    rest = [root] if root.has_error else []
    while rest:
        node = rest.pop()
        if node.is_error or node.is_missing:
            yield node
        else:
            rest.extend(child for child in reversed(node.children) if child.has_error)


class _Escapes:
    """The escapes of a language's string literals; those of one letter are common."""

    def __init__(self, more: str) -> None:
        self._pattern = re.compile(rf"\\({more}|.)", re.DOTALL)

    def said(self, text: str) -> str | None:
        """What a literal says, given without its quotes; None for what is no text."""
        parts: list[bytes] = []
        end = 0
        for found in self._pattern.finditer(text):
            parts += [text[end : found.start()].encode(), _escaped(found[1])]
            end = found.end()
        try:
            return b"".join([*parts, text[end:].encode()]).decode()
        except UnicodeDecodeError:
            return None


_LETTERS = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "0": 0}


def _escaped(text: str) -> bytes:
    """The bytes that an escape stands for, without its backslash."""
    if text.startswith("\n"):
        # The line goes on behind the spaces.
        return b""
    if text[0] in "uU" and len(text) > 1:
        number = int(text[1:].strip("{}").replace("_", ""), 16)
        is_text = number <= sys.maxunicode and not 0xD800 <= number < 0xE000
        return chr(number).encode() if is_text else b"\xff"
    if text[0] == "x" and len(text) > 1:
        return bytes([int(text[1:], 16)])
    if len(text) > 1:
        return bytes([int(text, 8) & 0xFF])
    return bytes([_LETTERS[text]]) if text in _LETTERS else text.encode()


def _around(node: Node, *types: str) -> Node | None:
    """The nearest node around *node* of one of these types."""
    found = node.parent
    while found is not None and found.type not in types:
        found = found.parent
    return found


def _field(node: Node | None, name: str) -> str:
    child = None if node is None else node.child_by_field_name(name)
    return "" if child is None else (child.text or b"").decode("utf-8", "replace")


# -- Go ---------------------------------------------------------------------------------------

_GO_QUERY = """
(import_spec) @import
(call_expression function: (selector_expression)) @call
(call_expression function: (identifier)) @call
(comment) @comment
"""
_ANTITHESIS_GO = "github.com/antithesishq/antithesis-sdk-go/assert"
_VERIFY_GO = re.compile(r"go\.etcd\.io/etcd/.*/verify")
_GOFAIL = re.compile(r"//\s*gofail:\s*var\s+(\w+)\s+\S+")
_GO_ESCAPES = _Escapes(r"x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}")
_VERIFY = {"Verify": 0, "Assert": 1}
"""Where the message of each is."""


def _go() -> _Language:
    import tree_sitter_go
    from tree_sitter import Language, Parser, Query, QueryCursor

    language = Language(tree_sitter_go.language())
    query = Query(language, _GO_QUERY)

    def calls(root: Node) -> Iterator[_Call]:
        found = QueryCursor(query).captures(root)
        assertions, verifiers = _go_packages(found.get("import", []))
        for node in found.get("call", []):
            function = node.child_by_field_name("function")
            package = _field(function, "operand")
            name = _field(function, "field") or _field(node, "function")
            if package in assertions and name in _GO_FORMS:
                yield _Call(_GO_FORMS[name], node, _go_arguments(node), *_go_place(node))
            elif package in verifiers and name in _VERIFY:
                arguments = _go_arguments(node)[: _VERIFY[name] + 1]
                # `verify.Verify` of a function alone is a block of such calls.
                if len(_go_arguments(node)) > 1:
                    yield _Call("verify", node, arguments, *_go_place(node), kind=ALWAYS)
        for node in found.get("comment", []):
            marker = _GOFAIL.match((node.text or b"").decode("utf-8", "replace"))
            if marker is not None:
                yield _Call("gofail", node, (), *_go_place(node), kind=REACHABLE, message=marker[1])

    return _Language(Parser(language).parse, calls, _go_literal)


def _go_packages(imports: Iterable[Node]) -> tuple[set[str], set[str]]:
    """Under which names the file knows the SDK's assertions, and the package verify."""
    assertions: set[str] = set()
    verifiers: set[str] = set()
    for node in imports:
        path = _field(node, "path").strip('"`')
        name = _field(node, "name") or path.rpartition("/")[2]
        name = "" if name == "." else name
        if path == _ANTITHESIS_GO:
            assertions.add(name)
        elif _VERIFY_GO.fullmatch(path):
            verifiers.add(name)
    return assertions, verifiers


def _go_arguments(node: Node) -> tuple[Nodes, ...]:
    given = node.child_by_field_name("arguments")
    children = [] if given is None else given.named_children
    return tuple((child,) for child in children if child.type != "comment")


def _go_place(node: Node) -> tuple[str, str]:
    """Function and type of its receiver."""
    function = _around(node, "function_declaration", "method_declaration")
    receiver = re.search(r"(\w+)\s*(?:\[.*\])?\s*\)$", _field(function, "receiver"), re.DOTALL)
    return _field(function, "name") or "<module>", receiver[1] if receiver else ""


def _go_literal(nodes: Nodes) -> str | None:
    """What a string literal says, or several that are added."""
    (node,) = nodes
    text = (node.text or b"").decode("utf-8", "replace")
    inside = [child for child in node.named_children if child.type != "comment"]
    if node.type == "raw_string_literal":
        return text.strip("`").replace("\r", "")
    if node.type == "interpreted_string_literal":
        return _GO_ESCAPES.said(text[1:-1])
    if node.type == "parenthesized_expression":
        return _go_literal(inside) if len(inside) == 1 else None
    if node.type == "binary_expression" and _field(node, "operator") == "+":
        parts = [_go_literal((child,)) for child in inside]
        known = [part for part in parts if part is not None]
        return "".join(known) if len(known) == len(parts) else None
    return None


# -- Rust -------------------------------------------------------------------------------------

# What stands in the arguments of another macro, such as `select!`, is tokens to the parser.
_RUST_QUERY = "[(macro_invocation) (token_tree)] @macro"
_RUST_ESCAPES = _Escapes(r"u\{[0-9a-fA-F_]{1,8}\}|x[0-7][0-9a-fA-F]|\n\s*")


def _rust() -> _Language:
    import tree_sitter_rust
    from tree_sitter import Language, Parser, Query, QueryCursor

    language = Language(tree_sitter_rust.language())
    query = Query(language, _RUST_QUERY)

    def calls(root: Node) -> Iterator[_Call]:
        for node in QueryCursor(query).captures(root).get("macro", []):
            for name, exclamation, arguments in zip(
                node.children, node.children[1:], node.children[2:], strict=False
            ):
                form = _RUST_FORMS.get(_last_name(name))
                if form and exclamation.type == "!" and arguments.type == "token_tree":
                    yield _Call(form, name, _rust_arguments(arguments), *_rust_place(node))

    return _Language(Parser(language).parse, calls, _rust_literal, knows_no_types=True)


def _last_name(node: Node) -> str:
    if node.type not in ("identifier", "scoped_identifier"):
        return ""
    return (node.text or b"").decode("utf-8", "replace").rpartition("::")[2]


def _rust_arguments(tree: Node) -> tuple[Nodes, ...]:
    arguments: list[list[Node]] = [[]]
    for node in tree.children[1:-1]:
        if node.type == ",":
            arguments.append([])
        elif "comment" not in node.type:
            arguments[-1].append(node)
    return tuple(each for each in arguments if each)


def _rust_place(node: Node) -> tuple[str, str]:
    """Function and type of its impl."""
    function = _around(node, "function_item")
    owner = None if function is None else _around(function, "impl_item", "trait_item")
    name = _field(owner, "type") or _field(owner, "name")
    return _field(function, "name") or "<module>", name.partition("<")[0]


def _rust_literal(nodes: Nodes) -> str | None:
    if len(nodes) != 1:
        return None
    text = (nodes[0].text or b"").decode("utf-8", "replace")
    if nodes[0].type == "raw_string_literal":
        return text.lstrip("r").strip("#")[1:-1]
    if nodes[0].type != "string_literal" or not text.startswith('"'):
        return None
    return _RUST_ESCAPES.said(text[1:-1].replace("\r\n", "\n"))
