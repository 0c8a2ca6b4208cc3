"""
Failpoints: places in a Go program built with gofail at which a sleep, a panic or another return
value can be injected.

The program has to be started with ``GOFAIL_HTTP=127.0.0.1:<port>``; all
requests here go to that address.  Failpoints stay enabled as long as the process runs.
"""

from __future__ import annotations

import asyncio
import http.client
import re
from dataclasses import dataclass

from ..errors import AssertlibError

WITHIN = 5.0
"""Seconds in which the program has to answer."""

_MODE = re.compile(r"(?P<probability>\d+\.\d*)%|(?P<count>\d+)\*")
_ACTION = re.compile(r"off|return|sleep|panic|break|print")
# What gofail takes back for the length of a value is the length of what it read, so a number
# has to be in its shortest form and a text without escapes.
_VALUE = re.compile(r'\((?P<value>|0|-?[1-9]\d{0,17}|"[^"\\\n]*"|true|false)\)')
_DURATION = re.compile(r'[0-9]+|"[-+]?(0|((\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h))+)"')


class GofailError(AssertlibError):
    """A failpoint request failed; the message gives the reason."""


# -- terms ----------------------------------------------------------------------------------


def terms(text: str) -> str:
    """
    *text*, if a failpoint can be enabled with it.

    Terms are joined by ``->``; the first whose mode allows it is run.  A term is a mode, or
    several, or none: ``3*`` for so many hits, ``40.0%`` for that probability; an action; and a
    value, which can be left out.  ``sleep`` needs one, milliseconds or a duration in quotes.
    Stricter than gofail, which takes some of what it then misreads: doc/design.md and
    runtime/terms.go there.

    Raises:
        ValueError: It is not of that form; names the column, counted from 1.
    """
    at = _term(text, 0)
    while at < len(text):
        if not text.startswith("->", at):
            raise _mistake(text, at, "expected -> and another term, or the end")
        at = _term(text, at + 2)
    return text


def _term(text: str, at: int) -> int:
    """Where the term that begins at *at* ends."""
    while mode := _MODE.match(text, at):
        at = mode.end()
    action = _ACTION.match(text, at)
    if action is None:
        raise _mistake(text, at, _what_is_no_action(text, at))
    value = _VALUE.match(text, action.end())
    if value is None and text.startswith("(", action.end()):
        raise _mistake(
            text,
            action.end() + 1,
            "expected an integer, true, false or a text in double quotes without escapes, and )",
        )
    if action[0] == "sleep" and not (value and _DURATION.fullmatch(value["value"])):
        raise _mistake(text, action.end(), 'sleep needs a time, like (1500) in ms or ("2s")')
    return value.end() if value is not None else action.end()


def _what_is_no_action(text: str, at: int) -> str:
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
        within: Response timeout in seconds.

    Raises:
        GofailError: The address is invalid.
    """

    def __init__(self, address: str, within: float = WITHIN) -> None:
        self.address = address
        self._within = within
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65_535:
            raise GofailError(
                f"{address!r} is no address of failpoints: give host:port, as in GOFAIL_HTTP"
            )
        self._host, self._port = host, int(port)

    def names(self) -> dict[str, str]:
        """
        The terms of each failpoint by its name, empty where it is not enabled.

        Raises:
            GofailError: The program does not answer, or not as gofail does.
        """
        answer = self._ask("GET", "")
        lines = answer.text.splitlines()
        if answer.status != http.client.OK or not all("=" in line for line in lines if line):
            raise GofailError(
                f"what answers at {self.address} is not gofail (HTTP {answer.status}):"
                " give the address in GOFAIL_HTTP"
            )
        found = (line.partition("=") for line in lines if line)
        return {name: terms for name, _, terms in found}

    def enable(self, name: str, text: str) -> None:
        """
        Let the failpoint *name* do what the terms in *text* say, from its next hit.

        Raises:
            ValueError: The terms are none; nothing was sent.
            GofailError: There is no such failpoint, or the program does not answer.
        """
        answer = self._ask("PUT", name, terms(text))
        if answer.status != http.client.NO_CONTENT:
            raise self._refused("enable", name, answer)

    def disable(self, name: str) -> None:
        """
        Let the failpoint *name* do nothing; no error if it does nothing already.

        Raises:
            GofailError: There is no such failpoint, or the program does not answer.
        """
        answer = self._ask("DELETE", name)
        if answer.status != http.client.NO_CONTENT and not answer.is_disabled:
            raise self._refused("disable", name, answer)

    def count(self, name: str) -> int:
        """
        How often the terms of *name* were run since it was enabled; 0 if it is not enabled.

        Raises:
            GofailError: There is no such failpoint, the program was built with a gofail before
                0.2.0, which does not count, or it does not answer.
        """
        answer = self._ask("GET", f"{name}/count")
        if answer.status == http.client.OK and answer.text.strip().isdigit():
            return int(answer.text)
        if answer.status == http.client.INTERNAL_SERVER_ERROR and answer.is_disabled:
            return 0
        if answer.status == http.client.NOT_FOUND and name in self.names():
            raise GofailError(
                f"cannot count {name} at {self.address}: the program was built with a gofail"
                " that does not count; build it with 0.2.0 or later"
            )
        raise self._refused("count", name, answer)

    def _refused(self, verb: str, name: str, answer: _Answer) -> GofailError:
        known = self.names()
        if name in known:
            reason = f"the program answered HTTP {answer.status}: {answer.text.strip()}"
        elif known:
            reason = f"the program has no such failpoint; it has: {', '.join(sorted(known))}"
        else:
            reason = "the program has none; run gofail enable on its source before it is built"
        return GofailError(f"cannot {verb} the failpoint {name!r} at {self.address}: {reason}")

    def _ask(self, method: str, path: str, body: str | None = None) -> _Answer:
        failure = f"cannot {method} the failpoint {path!r}" if path else "cannot list failpoints"
        connection = http.client.HTTPConnection(self._host, self._port, timeout=self._within)
        try:
            connection.request(method, f"/{path}", None if body is None else body.encode())
            response = connection.getresponse()
            return _Answer(response.status, response.read().decode(errors="replace"))
        except TimeoutError:
            raise GofailError(
                f"{failure} at {self.address}: no answer in {self._within:g} s; the process may be"
                " paused, or asleep in that failpoint"
            ) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise GofailError(
                f"{failure} at {self.address}: {error}; is the program running, was it built with"
                " gofail, and was it started with GOFAIL_HTTP set to that address?"
            ) from None
        finally:
            connection.close()


async def available(address: str) -> bool:
    """Whether a program built with gofail answers at *address*, ``host:port``."""
    try:
        await asyncio.to_thread(Failpoints(address, within=1.0).names)
    except GofailError:
        return False
    return True
