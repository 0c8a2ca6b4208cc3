"""
Partitions between unmodified processes on 127.0.0.1, using the kernel's packet filter.

Needs root and iptables.  Each member runs as a separate user, which identifies its packets:

* From `Netfilter.start` on, every packet that a member sends sets the bit of that member in the
  connmark of the connection.  A connection between two members has both their bits once the second
  one has responded, and no other connection ever has both, whatever its ports and direction.
* A cut drops all packets that arrive over connections with both bits, whoever sent them.  Nothing
  passes over existing connections, not even data that the kernel still sends for a dead process.
  The first packet of a new connection passes, but carries no data; the response sets the second
  bit and is dropped, so no connection is ever accepted.

This holds for TCP over IPv4, and for members started after `Netfilter.start`.  With UDP, one
datagram would pass.  One difference to a real network remains: connecting to a member whose process
is dead is refused even during a cut, where it would time out across a network.
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
"""Seconds to wait for other processes that are changing rules, as an option of iptables."""
_MOST = 16
"""Maximum number of members, one bit each; the upper half of the connmark is the campaign's."""
_OURS = 0xFFFF0000


class NetfilterError(HarnessError):
    """A packet filter command failed, or rules vanished; the message gives the reason."""


def unavailable() -> str | None:
    """Return why the packet filter cannot be used here; None if it can."""
    if os.geteuid() != 0:
        return "changing the packet filter needs root"
    if shutil.which("iptables-restore") is None:
        return "iptables-restore is not on the PATH: apt install iptables"
    # Root in a container may lack CAP_NET_ADMIN, which only a command can show.
    try:
        _rules()
    except NetfilterError as error:
        return str(error)
    return None


class Netfilter:
    """
    Partitions between members.  A context manager, which adds its rules and removes them.

    Args:
        uids: User ID of each member, by its name; no other process may run as one of these users.

    Attributes:
        name: Unique prefix of its chains; also the mark of the processes that change its rules.

    Raises:
        NetfilterError: The users do not identify the members.
    """

    def __init__(self, uids: Mapping[str, int]) -> None:
        _check(uids)
        # Concurrent campaigns have no user in common, so the smallest one identifies the campaign.
        self._tag = min(uids.values(), default=0) << 16
        self._bits = {name: 1 << number for number, name in enumerate(uids)}
        self._uids = dict(uids)
        self.name = f"{_PREFIX}-{secrets.token_hex(6)}"
        self._out, self._in = _chains(self.name)
        self._is_started = False
        self._installed: set[str] = set()

    def start(self) -> None:
        """
        Start marking connections; has to be called before the members are started.

        Raises:
            NetfilterError: A rule cannot be added, or a user is a member of another campaign.
        """
        assert not self._is_started
        self._check_others()
        # Chains, rules and jumps in one transaction: a failure leaves nothing to be removed.
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
        # Read back, since iptables may list a rule in another form than the one that added it.
        self._installed = self._present()

    def check(self) -> None:
        """
        Verify that all rules are in force, including those of cuts.

        Raises:
            NetfilterError: It was not started, or rules were removed other than by `stop`.
        """
        if not self._is_started:
            raise NetfilterError("the packet filter is not set up yet: call start() first")
        missing = sorted(self._installed - self._present())
        if missing:
            raise NetfilterError(
                f"{len(missing)} of {len(self._installed)} rules of the packet filter were"
                f" removed by another program, for example: {missing[0]}"
            )

    def _present(self) -> set[str]:
        return {rule for rule in _rules() if self._out in rule or self._in in rule}

    def cut(self, a: str, b: str) -> None:
        """
        Block all traffic between *a* and *b*, in both directions, until `heal`.

        Raises:
            NetfilterError: *a* and *b* are not two members, rules were removed by another program,
                or the rule cannot be added.
        """
        unknown = [name for name in (a, b) if name not in self._uids]
        if unknown:
            raise NetfilterError(
                f"cannot cut off unknown member {unknown[0]!r}; members: {', '.join(self._uids)}"
            )
        if a == b:
            raise NetfilterError(f"{a} cannot be cut off from itself: name two different members")
        self.check()
        # On arrival: a packet sets the bit of its sender when it leaves, so by now the mark is
        # complete, whichever of the two sent it.
        self._apply(f"-A {self._in} -m connmark --mark {self._mark(a, b)} -j DROP")
        self._installed = self._present()

    def dropped(self) -> int:
        """
        Return the number of packets dropped by the cuts in force.

        Raises:
            NetfilterError: It was not started, or rules were removed by another program.
        """
        self.check()
        rules = map(_DROPPED.search, _rules(self._in, "--verbose"))
        return sum(int(each["packets"]) for each in rules if each is not None)

    def heal(self) -> None:
        """
        Unblock all traffic; connections that still exist resume.

        Raises:
            NetfilterError: It was not started, rules were removed by another program, or the rules
                of cuts cannot be removed.
        """
        self.check()
        # The chain of arriving packets holds the rules of cuts and nothing else.
        self._apply(f"-F {self._in}")
        self._installed = self._present()

    def stop(self) -> None:
        """
        Remove all rules that were added; may be called at any time, and again.

        Raises:
            NetfilterError: The rules cannot be removed.
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
        # Value and mask.  The mask leaves out the bits of other members: setting a mark keeps them,
        # and a match ignores them.  It includes the upper half, where each campaign has its tag.
        bits = sum(self._bits[name] for name in names)
        return f"{self._tag | bits:#x}/{_OURS | bits:#x}"

    def _apply(self, *lines: str) -> None:
        _apply(*lines, mark=self.name)

    def _check_others(self) -> None:
        for uid, chain in users().items():
            if uid in self._uids.values():
                raise NetfilterError(
                    f"user {uid} already runs a member of another campaign (chain {chain}):"
                    " use different users for this campaign"
                )


def _check(uids: Mapping[str, int]) -> None:
    if len(uids) > _MOST:
        raise NetfilterError(
            f"{len(uids)} members are too many to distinguish: use at most {_MOST}"
        )
    for name, uid in uids.items():
        if not 0 < uid < 1 << 16:
            raise NetfilterError(
                f"member {name} cannot run as user {uid}: choose one between 1 and 65535"
            )
        # The rules could not distinguish the member from the campaign's own clients.
        if uid == os.geteuid():
            raise NetfilterError(
                f"member {name} runs as user {uid}, as does the campaign: give it a user of its own"
            )
    if len(set(uids.values())) < len(uids):
        raise NetfilterError(f"two members share a user: give each its own, not {dict(uids)}")


# -- iptables -------------------------------------------------------------------------------


def users() -> dict[int, str]:
    """
    Return the user IDs that campaigns currently use for members, with the chains that match them.

    Raises:
        NetfilterError: The rules cannot be listed.
    """
    found = filter(None, map(_MARKS.match, _rules()))
    return {int(each["uid"]): each["chain"] for each in found}


def remove(name: str) -> list[str]:
    """
    Remove the rules of the `Netfilter` called *name*, as far as they exist.

    Returns:
        The chains that were removed.

    Raises:
        NetfilterError: The rules cannot be listed or removed.
    """
    # Taken from the listing rather than from what was added: some of it may be gone already.
    chains = _chains(name)
    rules = [rule.split() for rule in _rules()]
    jumps = [
        " ".join(["-D", *rule[1:]]) for rule in rules if rule[0] == "-A" and rule[-1] in chains
    ]
    present = [rule[1] for rule in rules if rule[0] == "-N" and rule[1] in chains]
    # The kernel deletes only chains that are empty and to which no rule jumps.
    if present:
        _apply(*jumps, *(f"-F {each}" for each in present), *(f"-X {each}" for each in present))
    return present


def _chains(name: str) -> tuple[str, str]:
    return f"{name}-out", f"{name}-in"


def _rules(*options: str) -> list[str]:
    """List the chains and rules of the table, each as the options that create it."""
    return _run("iptables", "--table", "mangle", "--list-rules", *options).splitlines()


def _apply(*lines: str, mark: str = "") -> None:
    """Apply all *lines* to the table, or none of them."""
    # --noflush keeps everything in the table that the lines do not name, such as the rules of
    # other campaigns.
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
            # By its mark, a command that outlives a killed campaign is found and ended before the
            # rules are removed.
            env={**os.environ, MARK: mark},
        )
    except subprocess.CalledProcessError as error:
        details = " ".join(error.stderr.split()) or f"exit code {error.returncode}"
        raise NetfilterError(
            f"{program} failed: {details}; it needs root with CAP_NET_ADMIN, and a kernel with"
            " conntrack and the owner and connmark matches"
        ) from None
    except OSError as error:
        raise NetfilterError(f"cannot run {program}: {error.strerror}; install iptables") from None
    return done.stdout
