"""
Partitions between unmodified processes on 127.0.0.1, using the kernel's packet filter.

Needs root and iptables.  Each member runs as a user of its own, which identifies its
packets:

* What a member sends sets the bit of that member in the connmark of its connection, from
  `Netfilter.start` on.  A connection between two members has both their bits once the second
  has answered, and no other connection ever has; ports and sides do not matter.
* A cut drops what arrives over connections that have both bits, whoever sent it.  So nothing
  more passes over existing ones, not even what the kernel still sends for a process that is
  gone.  Of a new one the first packet, which carries no data, does pass; but its answer sets
  the second bit, so it is dropped and nothing is ever accepted.

This holds for TCP over IPv4, and for members that were started after `Netfilter.start`.  Of UDP
one datagram would pass.  As no one answers for a member whose process is gone, another that
connects to it is refused even if they are cut off, where across a network it would wait.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from .cluster import HarnessError
from .processes import MARK

_PREFIX = "assertlib"
_MARKS = re.compile(
    rf"-A (?P<chain>{_PREFIX}-[0-9a-f]+-out) .*--uid-owner (?P<uid>\d+) ",
)
_DROPPED = re.compile(r" -c (?P<packets>\d+) \d+ -j DROP")
_WITHIN = "10"
"""Seconds to wait for others who change rules."""
_MOST = 16
"""Members that have a bit; the other half of the connmark identifies the campaign."""
_OURS = 0xFFFF0000


class NetfilterError(HarnessError):
    """A packet filter command failed, or rules vanished; the message gives the reason."""


def unavailable() -> str | None:
    """Why there can be no partitions by packet filter here; None if there can."""
    if os.geteuid() != 0:
        return "changing the packet filter needs root"
    if shutil.which("iptables-restore") is None:
        return "there is no iptables-restore on the PATH: apt install iptables"
    try:
        _rules()
    except NetfilterError as error:
        return str(error)
    return None


class Netfilter:
    """
    Partitions between members.

    Args:
        uids: The user that each member runs as, by its name; nobody else's, and not ours.

    Attributes:
        name: What its chains are called, which nobody else's are; also the mark of processes
            that change its rules.

    Raises:
        NetfilterError: The users do not identify the members.
    """

    def __init__(self, uids: Mapping[str, int]) -> None:
        _check(uids)
        # Runs at the same time have no user in common, so the smallest one identifies the campaign.
        self._tag = min(uids.values(), default=0) << 16
        self._bits = {name: 1 << number for number, name in enumerate(uids)}
        self._uids = dict(uids)
        self.name = f"{_PREFIX}-{secrets.token_hex(6)}"
        self._out, self._in = _chains(self.name)
        self._is_started = False
        self._installed: set[str] = set()

    def start(self) -> None:
        """
        Start marking connections; call it before the members are started.

        Raises:
            NetfilterError: The kernel or another run does not allow it.
        """
        assert not self._is_started
        self._check_others()
        self._apply(
            f":{self._out} - [0:0]",
            f":{self._in} - [0:0]",
            *(
                f"-A {self._out} -m owner --uid-owner {uid} -j CONNMARK"
                f" --set-xmark {self._mark(name)}"
                for name, uid in self._uids.items()
            ),
            f"-I OUTPUT -j {self._out}",
            f"-I INPUT -j {self._in}",
        )
        self._is_started = True
        self._installed = self._present()

    def check(self) -> None:
        """
        Verify that all rules are in force, those of cuts included.

        Raises:
            NetfilterError: It was not started, or something else than `stop` removed some.
        """
        if not self._is_started:
            raise NetfilterError("nothing to cut or heal yet: call start() first")
        missing = sorted(self._installed - self._present())
        if missing:
            raise NetfilterError(
                f"{len(missing)} of {len(self._installed)} rules of the packet filter were"
                f" removed from outside, as: {missing[0]}"
            )

    def _present(self) -> set[str]:
        return {rule for rule in _rules() if self._out in rule or self._in in rule}

    def cut(self, a: str, b: str) -> None:
        """
        Let nothing pass between *a* and *b*, in either direction, until `heal`.

        Raises:
            NetfilterError: There are no such two members, or the kernel does not allow it.
        """
        unknown = [name for name in (a, b) if name not in self._uids]
        if unknown:
            raise NetfilterError(
                f"there is no member {unknown[0]!r} to cut off; there are: {', '.join(self._uids)}"
            )
        if a == b:
            raise NetfilterError(f"{a} cannot be cut off from itself: name two members")
        self.check()
        self._apply(f"-A {self._in} -m connmark --mark {self._mark(a, b)} -j DROP")
        self._installed = self._present()

    def dropped(self) -> int:
        """
        How many packets were dropped by the cuts that are in force.

        Raises:
            NetfilterError: It was not started, or rules were removed.
        """
        self.check()
        rules = map(_DROPPED.search, _rules(self._in, "--verbose"))
        return sum(int(each["packets"]) for each in rules if each is not None)

    def heal(self) -> None:
        """
        Let everything pass again; connections that still exist go on.

        Raises:
            NetfilterError: It was not started, rules were removed, or the kernel does not allow it.
        """
        self.check()
        self._apply(f"-F {self._in}")
        self._installed = self._present()

    def stop(self) -> None:
        """
        Remove all that was added; may be called at any time, and again.

        Raises:
            NetfilterError: The kernel does not allow it.
        """
        if self._is_started:
            remove(self.name)
        self._is_started = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _mark(self, *names: str) -> str:
        bits = sum(self._bits[name] for name in names)
        return f"{self._tag | bits:#x}/{_OURS | bits:#x}"

    def _apply(self, *lines: str) -> None:
        _apply(*lines, mark=self.name)

    def _check_others(self) -> None:
        for uid, chain in users().items():
            if uid in self._uids.values():
                raise NetfilterError(
                    f"user {uid} is a member of another campaign too (chain {chain}):"
                    " give this one other users"
                )


def _check(uids: Mapping[str, int]) -> None:
    if len(uids) > _MOST:
        raise NetfilterError(
            f"{len(uids)} members are too many to distinguish: give at most {_MOST}"
        )
    for name, uid in uids.items():
        if not 0 < uid < 1 << 16:
            raise NetfilterError(f"member {name} cannot be user {uid}: give one of 1 to 65535")
        if uid == os.geteuid():
            raise NetfilterError(
                f"member {name} is user {uid}, as is the campaign: give it a user of its own"
            )
    if len(set(uids.values())) < len(uids):
        raise NetfilterError(f"two members share a user: give each its own, not {dict(uids)}")


# -- iptables -------------------------------------------------------------------------------


def users() -> dict[int, str]:
    """
    The users who are members of campaigns now, with the chains that know them.

    Raises:
        NetfilterError: The rules cannot be listed.
    """
    found = filter(None, map(_MARKS.match, _rules()))
    return {int(each["uid"]): each["chain"] for each in found}


def remove(name: str) -> list[str]:
    """
    Remove the rules of the `Netfilter` called *name*, as far as they are there.

    Returns:
        The chains that were removed.

    Raises:
        NetfilterError: The kernel does not allow it.
    """
    chains = _chains(name)
    rules = [rule.split() for rule in _rules()]
    jumps = [
        " ".join(["-D", *rule[1:]]) for rule in rules if rule[0] == "-A" and rule[-1] in chains
    ]
    present = [rule[1] for rule in rules if rule[0] == "-N" and rule[1] in chains]
    if present:
        _apply(*jumps, *(f"-F {each}" for each in present), *(f"-X {each}" for each in present))
    return present


def _chains(name: str) -> tuple[str, str]:
    return f"{name}-out", f"{name}-in"


def _rules(*options: str) -> list[str]:
    """The chains and rules of the table, in the words that add them."""
    return _run("iptables", "--table", "mangle", "--list-rules", *options).splitlines()


def _apply(*lines: str, mark: str = "") -> None:
    """Change the table, all of it or nothing."""
    text = "\n".join(["*mangle", *lines, "COMMIT", ""])
    _run("iptables-restore", "--noflush", text=text, mark=mark)


def _run(program: str, *options: str, text: str = "", mark: str = "") -> str:
    command: Sequence[str] = [program, "--wait", _WITHIN, *options]
    try:
        done = subprocess.run(
            command,
            input=text,
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, MARK: mark},
        )
    except subprocess.CalledProcessError as error:
        details = " ".join(error.stderr.split()) or f"exit code {error.returncode}"
        raise NetfilterError(
            f"{program} failed: {details}; it needs root with CAP_NET_ADMIN, and a kernel with"
            " conntrack and the matches owner and connmark"
        ) from None
    except OSError as error:
        raise NetfilterError(f"cannot run {program}: {error.strerror}; install iptables") from None
    return done.stdout
