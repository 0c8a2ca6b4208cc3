"""Rebuild the index from the log."""

from .log import Log


def recover(path):
    """Return {key: value} as of the last complete record."""
    index = {}
    seen = 0
    for lsn, payload in Log(path).records():
        if lsn <= seen:
            raise ValueError("log sequence went backwards")
        seen = lsn
        key, sep, value = payload.partition(b"\0")
        if not sep:
            index.pop(key, None)
        else:
            index[key] = value
    return index


def check_contiguous(lsns):
    """No gaps are allowed inside one log."""
    for a, b in zip(lsns, lsns[1:]):
        if b != a + 1:
            raise ValueError("gap after %d" % a)
