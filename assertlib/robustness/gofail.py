"""
Failpoints: places in a Go program built with gofail at which a sleep, a panic or another return
value can be injected.

The program has to be started with ``GOFAIL_HTTP=127.0.0.1:<port>``, the address that receives all
requests made here.  Failpoints stay enabled until they are disabled or their process ends.
"""

from __future__ import annotations

import http.client
import re
from dataclasses import dataclass

from ..errors import AssertlibError

WITHIN = 5.0
"""Seconds within which the program has to respond."""

_MODE = re.compile(r"(?P<probability>\d+\.\d*)%|(?P<count>\d+)\*")
_ACTION = re.compile(r"off|return|sleep|panic|break|print")
# gofail advances by the length of the value that it has parsed, not of the text.  Only a number in
# its shortest form and a string without escapes have the same length as their text.
_VALUE = re.compile(r'\((?P<value>|0|-?[1-9]\d{0,17}|"[^"\\\n]*"|true|false)\)')
_DURATION = re.compile(r'[0-9]+|"[-+]?(0|((\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h))+)"')


class GofailError(AssertlibError):
    """A failpoint request failed; the message gives the reason."""


# -- terms ----------------------------------------------------------------------------------


def terms(text: str) -> str:
    """
    Return *text* unchanged if it consists of valid terms.

    Terms are joined by ``->``; the first whose modes allow it is run.  A term consists of any
    number of modes, ``3*`` for a number of hits or ``40.0%`` for a probability, of an action, and
    of an optional value.  ``sleep`` requires one: milliseconds, or a duration in quotes.
    The grammar is stricter than that of gofail, which accepts some terms that it then misreads.
    Source: gofail, doc/design.md and runtime/terms.go.

    Raises:
        ValueError: The terms are invalid; the message names the column, counted from 1.
    """
    at = _term(text, 0)
    while at < len(text):
        if not text.startswith("->", at):
            raise _mistake(text, at, "expected -> and another term, or the end")
        at = _term(text, at + 2)
    return text


def _term(text: str, at: int) -> int:
    """Return the end of the term that begins at *at*."""
    while mode := _MODE.match(text, at):
        at = mode.end()
    action = _ACTION.match(text, at)
    if action is None:
        raise _mistake(text, at, _why_not_an_action(text, at))
    value = _VALUE.match(text, action.end())
    # A value may be missing, but not malformed.
    if value is None and text.startswith("(", action.end()):
        raise _mistake(
            text,
            action.end() + 1,
            "expected an integer, true, false or a double-quoted string without escapes, followed by )",
        )
    if action[0] == "sleep" and not (value and _DURATION.fullmatch(value["value"])):
        raise _mistake(text, action.end(), 'sleep needs a time, like (1500) in ms or ("2s")')
    return value.end() if value is not None else action.end()


def _why_not_an_action(text: str, at: int) -> str:
    # A mode that is almost right is the likeliest mistake in front of an action.
    if re.match(r"\d+%", text[at:]):
        return "a probability needs a decimal point, like 40.0%"
    if re.match(r"\d", text[at:]):
        return "a number is followed by * if it counts hits, or by % if it is a probability"
    return "expected one of off, return, sleep, panic, break, print"


def _mistake(text: str, at: int, problem: str) -> ValueError:
    return ValueError(f"invalid terms {text!r} at column {at + 1}: {problem}")


# -- the program ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    text: str

    @property
    def is_disabled(self) -> bool:
        return "failpoint is disabled" in self.text


class Failpoints:
    """
    The failpoints of one process.

    Args:
        address: ``host:port``, as given to it in ``GOFAIL_HTTP``.
        within: Timeout of each response, in seconds.

    Raises:
        GofailError: The address is invalid.
    """

    def __init__(self, address: str, within: float = WITHIN) -> None:
        self.address = address
        self._within = within
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65_535:
            raise GofailError(
                f"{address!r} is not the address of a gofail server: give host:port, as in"
                " GOFAIL_HTTP"
            )
        self._host, self._port = host, int(port)

    def names(self) -> dict[str, str]:
        """
        Return the terms of each failpoint by its name; empty if it is not enabled.

        Raises:
            GofailError: The program does not respond, or not as gofail does.
        """
        answer = self._ask("GET", "")
        lines = answer.text.splitlines()
        # Another HTTP server may listen there, and respond with a page.
        if answer.status != http.client.OK or not all("=" in line for line in lines if line):
            raise GofailError(
                f"the server at {self.address} is not gofail (HTTP {answer.status}):"
                " give the address in GOFAIL_HTTP"
            )
        found = (line.partition("=") for line in lines if line)
        return {name: terms for name, _, terms in found}

    def enable(self, name: str, text: str) -> None:
        """
        Enable the failpoint *name* with the terms in *text*, from its next hit.

        Raises:
            ValueError: The terms are invalid; nothing was sent.
            GofailError: There is no such failpoint, or the program does not respond.
        """
        answer = self._ask("PUT", name, terms(text))
        if answer.status != http.client.NO_CONTENT:
            raise self._refused("enable", name, answer)

    def disable(self, name: str) -> None:
        """
        Disable the failpoint *name*; no error if it is disabled already.

        Raises:
            GofailError: There is no such failpoint, or the program does not respond.
        """
        answer = self._ask("DELETE", name)
        # To gofail, disabling a disabled failpoint is an error.
        if answer.status != http.client.NO_CONTENT and not answer.is_disabled:
            raise self._refused("disable", name, answer)

    def count(self, name: str) -> int:
        """
        Return how often the terms of *name* ran since it was enabled; 0 if it is not enabled.

        Raises:
            GofailError: There is no such failpoint, the program was built with a gofail before
                0.2.0, which does not count, or it does not respond.
        """
        answer = self._ask("GET", f"{name}/count")
        if answer.status == http.client.OK and answer.text.strip().isdigit():
            return int(answer.text)
        if answer.status == http.client.INTERNAL_SERVER_ERROR and answer.is_disabled:
            return 0
        # Without counters, gofail takes the whole path for the name of a failpoint it lacks.
        if answer.status == http.client.NOT_FOUND and name in self.names():
            raise GofailError(
                f"cannot count {name} at {self.address}: the program was built with a"
                " version of gofail that does not count hits; build it with 0.2.0 or later"
            )
        raise self._refused("count", name, answer)

    def _refused(self, verb: str, name: str, answer: _Answer) -> GofailError:
        # The list distinguishes a wrong name from a program that was built without failpoints.
        known = self.names()
        if name in known:
            reason = f"the program answered HTTP {answer.status}: {answer.text.strip()}"
        elif known:
            reason = f"the program has no such failpoint; it has: {', '.join(sorted(known))}"
        else:
            reason = (
                "the program has no failpoints; run gofail enable on its source before building it"
            )
        return GofailError(f"cannot {verb} the failpoint {name!r} at {self.address}: {reason}")

    def _ask(self, method: str, path: str, body: str | None = None) -> _Answer:
        failure = f"cannot {method} the failpoint {path!r}" if path else "cannot list failpoints"
        # A connection for each request: the failpoint may end the process in between.
        connection = http.client.HTTPConnection(self._host, self._port, timeout=self._within)
        try:
            connection.request(method, f"/{path}", None if body is None else body.encode())
            response = connection.getresponse()
            return _Answer(response.status, response.read().decode(errors="replace"))
        except TimeoutError:
            raise GofailError(
                f"{failure} at {self.address}: no answer in {self._within:g} s; the process may be"
                " paused, or sleeping in that failpoint"
            ) from None
        # ValueError: http.client cannot encode a name that is not ASCII.
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise GofailError(
                f"{failure} at {self.address}: {error}; is the program running, was it built with"
                " gofail, and was it started with GOFAIL_HTTP set to that address?"
            ) from None
        finally:
            connection.close()
