"""
Turns source files into sites, and into findings about what cannot be catalogued.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..._text.inputs import read_named
from ..._text.utf8 import REMEDY, EncodingError, unmarked
from ...forms import FORMS, Part
from ...model import (
    ALWAYS_OR_UNREACHABLE,
    OTHER_BUCKET,
    SOMETIMES,
    Site,
    bucket_message,
    bucket_of,
    kind_displayed,
)
from ..config import Target
from ..findings import Finding, did_you_mean, unreadable
from ..recursion_limit import deep_recursion
from ..rules import RULES
from .calls import Argument, Assertion, Expander
from .fingerprint import fingerprint
from .polyglot import SUFFIXES, scan_foreign
from .references import (
    ASSERTIONS,
    DECLARES,
    Bound,
    Class,
    Function,
    InvariantObject,
    Primitive,
    Reference,
    Resolver,
    is_uncalled,
)
from .scopes import Module, Scope
from .sources import not_python, parse_all
from .tree import shown_from, source_files

_CONDITION_LIMIT = 300
_MOST_BUCKETS = 10_000
# A consequent is called only if its antecedent holds, so a plain value is a mistake.
_NEVER_CALLABLE = (ast.Compare, ast.BoolOp, ast.Constant, ast.UnaryOp, ast.BinOp)


@dataclass
class Scan:
    """
    The result of scanning the source of a target.

    Attributes:
        sites: Every assertion, derived ones included, in order of file and line.
        findings: Problems in the source.
        files: The number of source files.
    """

    sites: list[Site] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    files: int = 0

    def __repr__(self) -> str:
        return f"<Scan: {len(self.sites)} assertions in {self.files} files>"


def scan_target(root: Path, target: Target) -> Scan:
    """
    Scan the source of a target.

    Args:
        root: Directory that the paths of the target are relative to.
        target: The sources, and what to exclude from them.
    """
    scan = Scan()
    sources: dict[str, bytes] = {}
    foreign: dict[str, bytes] = {}
    # Sources may overlap, and a file that is read twice would clash with itself.
    for path in sorted(set(source_files(root, target, scan.findings))):
        shown = shown_from(root, path)
        try:
            (foreign if path.suffix in SUFFIXES else sources)[shown] = read_named(path)
        except OSError as error:
            scan.findings.append(unreadable(shown, f": {error.strerror}"))
    return _scan(sources, foreign, scan)


def scan_sources(sources: dict[str, str]) -> Scan:
    """Scan *sources*, texts by file name, as if they were files of one target."""
    data = {name: text.encode() for name, text in sources.items()}
    foreign = {name: data.pop(name) for name in sources if name.endswith(SUFFIXES)}
    return _scan(data, foreign, Scan())


def _scan(sources: dict[str, bytes], foreign: dict[str, bytes], scan: Scan) -> Scan:
    scan.files = len(sources) + len(foreign)
    scan.sites, found = scan_foreign(dict(_in_utf8(foreign, scan)))
    scan.findings += found
    with deep_recursion():
        # Python's parser gets the byte order mark, which it compares with the coding declaration.
        return _scan_deeply({name: sources[name] for name, _ in _in_utf8(sources, scan)}, scan)


def _in_utf8(sources: dict[str, bytes], scan: Scan) -> Iterator[tuple[str, bytes]]:
    """*sources* without byte order marks; those in UTF-16 become findings of *scan*."""
    for name, data in sources.items():
        try:
            yield name, unmarked(data)
        except EncodingError as error:
            finding = Finding(name, 0, 0, "AL109", error.found, REMEDY)
            scan.findings.append(finding)


def _scan_deeply(sources: dict[str, bytes], scan: Scan) -> Scan:
    modules = parse_all(sources, scan.findings)
    resolver = Resolver(modules)
    expander = Expander(resolver)
    scans = [_ModuleScan(module, resolver, expander, scan) for module in modules]
    for module_scan in scans:
        module_scan.run()
    # Only now: a bound assertion may be called in another module than the one that declares it.
    called = {node for module_scan in scans for node in module_scan.called_bounds}
    for module_scan in scans:
        module_scan.find_uncalled(called)
    scan.sites.sort(key=lambda site: (site.file, site.line, site.column, site.message))
    scan.findings.extend(_name_clashes(scan.sites))
    scan.findings.sort()
    return scan


class _ModuleScan:
    """
    Finds the assertions of one module.

    Attributes:
        called_bounds: The declarations of the bound assertions that the module calls.
    """

    def __init__(self, module: Module, resolver: Resolver, expander: Expander, scan: Scan) -> None:
        self._module = module
        self._resolver = resolver
        self._expander = expander
        self._scan = scan
        self._callees: set[ast.expr] = set()
        self._declared: list[Bound] = []
        self.called_bounds: set[ast.Call] = set()

    def run(self) -> None:
        """Record the assertions and findings of every call."""
        try:
            for call, scope in self._module.uses.calls:
                self._take_call(call, scope)
            self._find_values()
        except RecursionError:
            self._scan.findings.append(not_python(self._module.file, 0, "it is nested too deeply"))

    def _take_call(self, call: ast.Call, scope: Scope) -> None:
        self._callees.add(call.func)
        reference = self._resolver.resolve(call, scope)
        # Resolving any call yields its result: for a `declare_…`, the assertion declared here.
        if isinstance(reference, Bound) and reference.call is call:
            self._declared.append(reference)
            if scope.is_class:
                self._find(
                    "AL116",
                    call,
                    "this bound assertion is declared in a class body, so its calls are not detected",
                )
        if isinstance(reference, InvariantObject) and reference.id.value is None:
            self._find("AL114", call, "the id of the Invariant is not a literal")
        assertions = self._expander.assertions(call, scope)
        for assertion in assertions:
            if assertion.bound is not None:
                self.called_bounds.add(assertion.bound.call)
            self._take(assertion, call, scope)
        if not assertions:
            self._look_for_unknown_owner(call, scope)

    def _look_for_unknown_owner(self, call: ast.Call, scope: Scope) -> None:
        """Report ``x.always(…)`` if the scan cannot tell what ``x`` is."""
        func = call.func
        if isinstance(func, ast.Name) and func.id == "getattr" and call.args:
            if isinstance(self._resolver.resolve(call.args[0], scope), InvariantObject):
                self._find("AL117", call, "an attribute of an Invariant is looked up by name")
            return
        if not isinstance(func, ast.Attribute):
            return
        owner = self._resolver.resolve(func.value, scope)
        if isinstance(owner, InvariantObject) and not _is_assertion_name(func.attr):
            if self._resolver.resolve(func, scope) is not None:
                return
            hint = did_you_mean(func.attr, ASSERTIONS)
            self._find("AL117", call, f"an Invariant has no method {func.attr!r} {hint}".rstrip())
            return
        if not _is_assertion_name(func.attr):
            return
        # An owner that is known to be something else, such as a class with a method `always`, makes
        # the call no assertion.
        if owner is None or self._is_own_invariant(owner, func, scope):
            self._find("AL117", call, f"cannot tell what {ast.unparse(func.value)[:80]} is")

    def _is_own_invariant(self, owner: Reference, func: ast.Attribute, scope: Scope) -> bool:
        """Whether *func* is an inherited method of ``self``, an Invariant whose id is unknown."""
        return (
            isinstance(owner, Class)
            and owner.instance
            and self._resolver.is_invariant(owner)
            and self._resolver.resolve(func, scope) is None
        )

    def find_uncalled(self, called: set[ast.Call]) -> None:
        """
        Report the bound assertions of this module that no module calls.

        Args:
            called: The declarations of all bound assertions that are called.
        """
        # They remain sites: the process declares them, so their verdict is unreached.
        for bound in self._declared:
            if bound.call not in called:
                message = (bound.message.node, bound.scope)
                assertion = Assertion(bound.name, bound.invariant, message, {}, bound)
                self._take(assertion, bound.call, bound.scope)
                self._find("AL112", bound.call, "this bound assertion is never called")

    # -- one assertion ---------------------------------------------------

    def _take(self, assertion: Assertion, call: ast.Call, scope: Scope) -> None:
        if assertion.message is None:
            self._find("AL104", call, "the message is missing or hidden behind * or **")
            return
        # Inside a wrapper; its callers are the sites.
        if self._expander.is_parameter_of_wrapper(assertion.message):
            return
        message = self._resolver.text(*assertion.message).value
        if message is None:
            shown = ast.unparse(assertion.message[0])[:80]
            self._find("AL104", call, f"the message {shown} is built at run time")
            return
        invariant = self._invariant(assertion, call)
        self._check_conditions(assertion, call)
        for part in self._parts(assertion, call, message):
            self._add_site(part, assertion, call, scope, message, invariant)

    def _parts(self, assertion: Assertion, call: ast.Call, message: str) -> list[Part]:
        if assertion.primitive == "sometimes_each":
            return self._bucket_parts(assertion, call)
        if assertion.primitive == "assert_raw":
            return self._raw_parts(assertion, call)
        return list(FORMS[assertion.primitive].parts)

    def _raw_parts(self, assertion: Assertion, call: ast.Call) -> list[Part]:
        given = assertion.arguments.get("display_type")
        text = None if given is None else self._resolver.text(*given).value
        kind = None if text is None else kind_displayed(text)
        if kind is None:
            self._find("AL104", call, "the display_type of assert_raw is not a literal kind")
            return []
        return [Part(kind, str, ("condition",))]

    def _bucket_parts(self, assertion: Assertion, call: ast.Call) -> list[Part]:
        given = assertion.arguments.get("expected")
        values = None if given is None else self._values(*given)
        if values is None:
            self._find("AL113", call, "the expected values cannot be read from the source")
            values = []
        # Each expected value must be seen, and an unexpected one may be but need not.
        parts = [Part(SOMETIMES, _bucket(value), ("value",)) for value in values]
        return [*parts, Part(ALWAYS_OR_UNREACHABLE, _bucket(OTHER_BUCKET), ("value",))]

    def _values(self, node: ast.expr, scope: Scope) -> list[str] | None:
        """The buckets of a literal collection, of ``range``, or of an enum; None if unknown."""
        node, scope = self._resolver.constant(node, scope)
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            buckets = [self._bucket_value(item, scope) for item in node.elts]
            known = [bucket for bucket in buckets if bucket is not None]
            return known if len(known) == len(buckets) else None
        if isinstance(node, ast.Dict):
            # `**other` has no key, and its content is unknown.
            keys = [key for key in node.keys if key is not None]
            is_whole = len(keys) == len(node.keys)
            return self._values(ast.Tuple(keys, ast.Load()), scope) if is_whole else None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return self._called_values(node.func.id, node, scope)
        reference = self._resolver.resolve(node, scope)
        return _enum_members(reference)

    def _called_values(self, name: str, node: ast.Call, scope: Scope) -> list[str] | None:
        if name in ("list", "tuple", "set", "frozenset", "sorted") and len(node.args) == 1:
            return self._values(node.args[0], scope)
        if name != "range":
            return None
        try:
            found = range(*(ast.literal_eval(argument) for argument in node.args))
            # A range of any length is written in a few characters.
            return [bucket_of(value) for value in found] if len(found) <= _MOST_BUCKETS else None
        except (ValueError, TypeError, OverflowError):
            return None

    def _bucket_value(self, node: ast.expr, scope: Scope) -> str | None:
        if isinstance(node, ast.Attribute):
            members = _enum_members(self._resolver.resolve(node.value, scope))
            if members is not None and node.attr in members:
                return node.attr
        node, _ = self._resolver.constant(node, scope)
        try:
            return bucket_of(ast.literal_eval(node))
        except (ValueError, TypeError, SyntaxError):
            return None

    def _add_site(
        self,
        part: Part,
        assertion: Assertion,
        call: ast.Call,
        scope: Scope,
        message: str,
        invariant: str | None,
    ) -> None:
        # Of an argument inside a wrapper, the fingerprint covers the caller's part as well, but only
        # the argument itself is readable as a condition.
        given = [argument for name in part.conditions for argument in assertion.given(name)]
        shown = [assertion.given(name)[0] for name in part.conditions if assertion.given(name)]
        name = part.name(message)
        function = _function(scope)
        # The suffix of a derived part: both halves of sometimes_both have the same condition.
        operation = f"{assertion.primitive} {name.removeprefix(message)}"
        self._scan.sites.append(
            Site(
                kind=part.kind,
                message=name,
                invariant=invariant,
                file=self._module.file,
                qualname=function.qualname,
                line=call.lineno,
                column=self._column(call),
                condition=_condition_text(assertion.primitive, shown),
                fingerprint=fingerprint(operation, given, self._resolver),
                origin=message,
                form=assertion.primitive,
                owner=function.owner,
            )
        )

    def _invariant(self, assertion: Assertion, call: ast.Call) -> str | None:
        """The id that is cited: None without one, empty if it is not a literal, which is a finding."""
        if assertion.invariant is not None:
            return assertion.invariant.value or ""
        given = assertion.arguments.get("invariant")
        if given is None or (isinstance(given[0], ast.Constant) and given[0].value is None):
            return None
        text = self._resolver.text(*given).value
        if text is None:
            self._find("AL114", call, f"the invariant {ast.unparse(given[0])} is not a literal")
        return text or ""

    # -- conditions ------------------------------------------------------

    def _check_conditions(self, assertion: Assertion, call: ast.Call) -> None:
        # assert_raw relays outcomes that other code has determined, so constants are in order.
        if assertion.primitive == "assert_raw":
            return
        for name in ("condition", "antecedent", "consequent"):
            given = assertion.arguments.get(name)
            if given is None:
                continue
            self._check_condition(assertion.primitive, *given, call)
            if name == "consequent" and isinstance(given[0], _NEVER_CALLABLE):
                self._find("AL108", call, "the consequent is a value: write lambda: …")
        for node, scope in self._propositions(assertion):
            self._check_condition(assertion.primitive, node, scope, call)

    def _propositions(self, assertion: Assertion) -> list[Argument]:
        given = assertion.arguments.get("named_bools")
        if given is None or not isinstance(given[0], ast.Dict):
            return []
        return [(value, given[1]) for value in given[0].values]

    def _check_condition(
        self, primitive: str, node: ast.expr, scope: Scope, call: ast.Call
    ) -> None:
        if isinstance(node, ast.Lambda):
            node, scope = node.body, self._module.scopes.get(node, scope)
        if isinstance(node, ast.Constant):
            self._find(
                "AL107", call, f"the condition of {primitive} is the constant {node.value!r}"
            )
            return
        reference = self._resolver.resolve(node, scope)
        if isinstance(reference, Function) and is_uncalled(reference):
            shown = ast.unparse(node)
            self._find("AL108", call, f"the condition is the function {shown}, which is not called")
        if isinstance(node, ast.Call):
            callee = self._resolver.resolve(node.func, scope)
            if isinstance(callee, Function) and isinstance(callee.node, ast.AsyncFunctionDef):
                shown = ast.unparse(node)
                self._find(
                    "AL108", call, f"the condition {shown} is a coroutine that is not awaited"
                )

    # -- what is not a call ------------------------------------------------

    def _find_values(self) -> None:
        """Report assertions that are used as values, which hides what is asserted through them."""
        uses = self._module.uses
        for node, scope in uses.loads:
            # Called directly, or given another name, which the resolver follows.
            if node in self._callees or node in uses.named:
                continue
            reference = self._resolver.resolve(node, scope)
            if isinstance(reference, Primitive | Bound) or self._expander.is_wrapper(reference):
                self._find("AL111", node, f"{ast.unparse(node)} is used as a value")

    def _column(self, node: ast.expr) -> int:
        """Column in characters from 1; the parser counts bytes."""
        lines = self._module.source.split("\n")
        line = lines[node.lineno - 1] if node.lineno <= len(lines) else ""
        return len(line.encode()[: node.col_offset].decode(errors="replace")) + 1

    def _find(self, code: str, node: ast.expr, message: str) -> None:
        self._scan.findings.append(
            Finding(
                self._module.file, node.lineno, self._column(node), code, message,
                RULES[code].remedy,
            )
        )  # fmt: skip


def _bucket(value: str) -> Callable[[str], str]:
    def name(message: str) -> str:
        return bucket_message(message, value)

    return name


def _is_assertion_name(name: str) -> bool:
    return name.removeprefix(DECLARES) in ASSERTIONS


def _function(scope: Scope) -> Scope:
    while scope.is_anonymous and scope.parent is not None:
        scope = scope.parent
    return scope


def _condition_text(primitive: str, given: list[Argument]) -> str:
    texts = [ast.unparse(node.body if isinstance(node, ast.Lambda) else node) for node, _ in given]
    sign = FORMS[primitive].sign if primitive in FORMS else ", "
    text = sign.join(texts)
    return text if len(text) <= _CONDITION_LIMIT else text[: _CONDITION_LIMIT - 1] + "…"


def _enum_members(reference: object) -> list[str] | None:
    if not isinstance(reference, Class) or not isinstance(reference.scope.node, ast.ClassDef):
        return None
    # By name, since the module enum is not part of a scan.
    bases = [ast.unparse(base).rpartition(".")[2] for base in reference.scope.node.bases]
    if not any(base in ("Enum", "IntEnum", "StrEnum", "Flag", "IntFlag") for base in bases):
        return None
    return [
        name
        for name, bindings in reference.scope.bindings.items()
        if getattr(bindings[0], "form", None) == "=" and not name.startswith("_")
    ]


def _name_clashes(sites: list[Site]) -> Iterator[Finding]:
    first: dict[str, Site] = {}
    reported: set[tuple[str, int, int, str]] = set()
    for site in sites:
        other = first.setdefault(site.message, site)
        place = (site.file, site.line, site.column)
        # One call may yield a message twice, as with a value that is listed twice.
        if place == (other.file, other.line, other.column) and site.kind is other.kind:
            continue
        code = "AL103" if site.kind is other.kind else "AL106"
        # Each part of a derived assertion clashes; one finding for the call is enough.
        if (*place, code) in reported:
            continue
        reported.add((*place, code))
        text = (
            f"{site.message!r} is also asserted at"
            if site.kind is other.kind
            else f"{site.message!r} is asserted as `{site.kind.name}` here and as"
            f" `{other.kind.name}` at"
        )
        yield Finding(*place, code, f"{text} {other.file}:{other.line}", RULES[code].remedy)
