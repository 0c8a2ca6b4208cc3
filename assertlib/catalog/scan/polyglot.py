"""
Scans Go and Rust for assertions, with the same sites and findings as for Python.

The parser is tree-sitter, which comes with the extra ``polyglot``.  In Go, assertions are calls to
the Antithesis SDK, calls to etcd's `verify.Verify` and `verify.Assert` (its tests on Antithesis
turn them into always), and ``// gofail: var NAME type`` lines, which mark places worth reaching
(those tests turn them into a reachable of that name).  In Rust they are the macros of the
Antithesis SDK.

A fingerprint is made of the tokens of the condition: formatting keeps it, and renaming a variable
changes it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...forms import FORMS
from ...model import ALWAYS, REACHABLE, Kind, Site
from ..findings import Finding
from ..positions import Position
from ..rules import RULES
from .fingerprint import digest_of
from .references import PRIMITIVES
from .sources import LANGUAGES

if TYPE_CHECKING:
    from tree_sitter import Node, Tree

    Nodes = Sequence[Node]

SUFFIXES = tuple(suffix for suffix in LANGUAGES if suffix != ".py")
# Parsing is expensive, so it is left to files that contain one of these.
_MARKS = {".go": (b"antithesis", b"gofail:", b"verify."), ".rs": (b"antithesis",)}
_SKIPPED = {".go": "vendor", ".rs": "target"}
"""Directories of vendored code and of build output, by suffix."""

_CONDITION_LIMIT = 300
# The SDKs use one set of names: AlwaysOrUnreachable in Go, assert_always_or_unreachable! in Rust.
_GO_FORMS = {"".join(map(str.title, form.split("_"))): form for form in PRIMITIVES}
_RUST_FORMS = {f"assert_{form}": form for form in PRIMITIVES}
_TRUTHS = ("true", "false")


def _has_assertions(name: str, data: bytes) -> bool:
    """Whether the file may contain an assertion, and is part of the project itself."""
    suffix = name[name.rfind(".") :]
    return is_own(name) and any(mark in data for mark in _MARKS.get(suffix, ()))


def is_own(name: str) -> bool:
    """Return whether the file *name* is neither vendored nor build output."""
    *directories, file = name.split("/")
    return _SKIPPED.get(file[file.rfind(".") :]) not in directories


def scan_foreign(sources: dict[str, bytes]) -> tuple[list[Site], list[Finding]]:
    """Return the sites in *sources*, contents by file name, and the findings about them."""
    wanted = {name: data for name, data in sources.items() if _has_assertions(name, data)}
    sites: list[Site] = []
    findings: list[Finding] = []
    if not wanted:
        return sites, findings
    # Only now: the extra is needed only where such files exist.
    try:
        languages = {".go": _go(), ".rs": _rust()}
    except ImportError as error:
        text = (
            f"Go and Rust source is not read (files: {len(wanted)}): {error.name} is not installed"
        )
        findings.append(Finding(min(wanted), 0, 0, "AL120", text, RULES["AL120"].remedy))
        return sites, findings
    for name, data in sorted(wanted.items()):
        language = languages[name[name.rfind(".") :]]
        _File(name, data, language, sites, findings).take(language.parse(data))
    return sites, findings


@dataclass(frozen=True)
class _Language:
    """
    The differences between the languages.

    Attributes:
        parse: Parses a file.
        calls: Finds the assertions below a node.
        literal: Returns the text of a string literal; None for any other argument.
        knows_no_types: Whether arguments are split without knowledge of types, which may yield too
            many.
    """

    parse: Callable[[bytes], Tree]
    calls: Callable[[Node], Iterator[_Call]]
    literal: Callable[[Nodes], str | None]
    knows_no_types: bool = False


@dataclass(frozen=True)
class _Call:
    """
    A call, macro or comment that asserts.

    Attributes:
        form: Name of the primitive in Python, or of another form.
        node: The node whose place is that of the site.
        arguments: The nodes of each argument.
        function, owner: The function that contains it, and the type that the function belongs to.
        kind: Its kind; None if the form determines it.
        message: Its message; None if it is an argument.
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
        """Record the sites and findings of *tree*."""
        for call in self._language.calls(tree.root_node):
            self._take(call)
        for node in _errors(tree.root_node):
            # Everything behind an error is uncertain, so only the first one is reported.
            self._find("AL109", node, "cannot be parsed from here on")
            break

    def _take(self, call: _Call) -> None:
        # Forms that Python lacks end with their message, or have none among their arguments.
        if call.kind is not None:
            kind, place = call.kind, len(call.arguments) - 1
        else:
            form = FORMS[call.form]
            kind, place = form.kind, form.parameters.index("message")
        message = call.message
        if message is None:
            place, message = self._message(call.arguments, place)
        conditions = call.arguments[:place]
        if message is None:
            given = call.arguments[place] if place < len(call.arguments) else ()
            shown = _text(given)[:80] or "(none)"
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
        The message and its position: the first literal at its position in the signature or after.

        A comma between generic types, as in ``size::<K, V>()``, looks like one between arguments.
        """
        last = len(arguments) if self._language.knows_no_types else place + 1
        for number, argument in enumerate(arguments[place:last], place):
            message = self._language.literal(argument)
            if message is not None:
                return number, message
        return place, None

    def _find(self, code: str, node: Node, text: str) -> None:
        # What follows the semicolon applies to Python only.
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
    # Cut out of the whole source, which keeps what stands between the nodes.  The root begins at
    # its first token, which need not be the start of the file.
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
    # With a stack of its own instead of recursion: generated code nests deeply.
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
    """The outermost nodes that are missing or could not be parsed, in order of the source."""
    rest = [root] if root.has_error else []
    while rest:
        node = rest.pop()
        if node.is_error or node.is_missing:
            yield node
        else:
            rest.extend(child for child in reversed(node.children) if child.has_error)


class _Escapes:
    """The escapes in string literals of a language; *more* matches those of several characters."""

    def __init__(self, more: str) -> None:
        self._pattern = re.compile(rf"\\({more}|.)", re.DOTALL)

    def decoded(self, text: str) -> str | None:
        """Return the value of a literal, given its *text* without quotes; None if not Unicode."""
        # As bytes, since several escapes in a row may encode one character.
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
        # An escaped line end, with the indentation of the next line.
        return b""
    if text[0] in "uU" and len(text) > 1:
        number = int(text[1:].strip("{}").replace("_", ""), 16)
        # No text contains surrogates or numbers beyond Unicode; 0xFF makes the decoding fail.
        is_text = number <= sys.maxunicode and not 0xD800 <= number < 0xE000
        return chr(number).encode() if is_text else b"\xff"
    if text[0] == "x" and len(text) > 1:
        return bytes([int(text[1:], 16)])
    if len(text) > 1:
        return bytes([int(text, 8) & 0xFF])
    return bytes([_LETTERS[text]]) if text in _LETTERS else text.encode()


def _around(node: Node, *types: str) -> Node | None:
    """The innermost node of one of these *types* that contains *node*."""
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
"""Position of the message of each."""


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
                # `verify.Verify` with only a function runs a block of such calls.
                if len(_go_arguments(node)) > 1:
                    yield _Call("verify", node, arguments, *_go_place(node), kind=ALWAYS)
        for node in found.get("comment", []):
            marker = _GOFAIL.match((node.text or b"").decode("utf-8", "replace"))
            if marker is not None:
                yield _Call("gofail", node, (), *_go_place(node), kind=REACHABLE, message=marker[1])

    return _Language(Parser(language).parse, calls, _go_literal)


def _go_packages(imports: Iterable[Node]) -> tuple[set[str], set[str]]:
    """The names under which a file imports the assertions of the SDK, and the package verify."""
    assertions: set[str] = set()
    verifiers: set[str] = set()
    for node in imports:
        path = _field(node, "path").strip('"`')
        name = _field(node, "name") or path.rpartition("/")[2]
        # A dot import needs no qualifier: calls then have an empty package.
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
    """The function that contains *node*, and the type of its receiver."""
    function = _around(node, "function_declaration", "method_declaration")
    receiver = re.search(r"(\w+)\s*(?:\[.*\])?\s*\)$", _field(function, "receiver"), re.DOTALL)
    return _field(function, "name") or "<module>", receiver[1] if receiver else ""


def _go_literal(nodes: Nodes) -> str | None:
    """The value of a string literal, or of several that are concatenated."""
    (node,) = nodes
    text = (node.text or b"").decode("utf-8", "replace")
    inside = [child for child in node.named_children if child.type != "comment"]
    if node.type == "raw_string_literal":
        # Source: The Go Programming Language Specification, "String literals".
        return text.strip("`").replace("\r", "")
    if node.type == "interpreted_string_literal":
        return _GO_ESCAPES.decoded(text[1:-1])
    if node.type == "parenthesized_expression":
        return _go_literal(inside) if len(inside) == 1 else None
    if node.type == "binary_expression" and _field(node, "operator") == "+":
        parts = [_go_literal((child,)) for child in inside]
        known = [part for part in parts if part is not None]
        return "".join(known) if len(known) == len(parts) else None
    return None


# -- Rust -------------------------------------------------------------------------------------

# The arguments of another macro, such as `select!`, are mere tokens to the parser.
_RUST_QUERY = "[(macro_invocation) (token_tree)] @macro"
_RUST_ESCAPES = _Escapes(r"u\{[0-9a-fA-F_]{1,8}\}|x[0-7][0-9a-fA-F]|\n\s*")


def _rust() -> _Language:
    import tree_sitter_rust
    from tree_sitter import Language, Parser, Query, QueryCursor

    language = Language(tree_sitter_rust.language())
    query = Query(language, _RUST_QUERY)

    def calls(root: Node) -> Iterator[_Call]:
        for node in QueryCursor(query).captures(root).get("macro", []):
            # Name, exclamation mark and arguments are siblings in both types of nodes.
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
    # A token tree has no arguments, only tokens between commas.
    arguments: list[list[Node]] = [[]]
    for node in tree.children[1:-1]:
        if node.type == ",":
            arguments.append([])
        elif "comment" not in node.type:
            arguments[-1].append(node)
    return tuple(each for each in arguments if each)


def _rust_place(node: Node) -> tuple[str, str]:
    """The function that contains *node*, and the type or trait that it belongs to."""
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
    # Byte strings and C strings begin with a letter, and cannot be messages.
    if nodes[0].type != "string_literal" or not text.startswith('"'):
        return None
    return _RUST_ESCAPES.decoded(text[1:-1].replace("\r\n", "\n"))
