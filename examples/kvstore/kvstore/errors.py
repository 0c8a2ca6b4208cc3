"""What the store refuses, and what a client cannot know."""

__all__ = [
    "BadRequestError",
    "CompactedError",
    "ConnectionLostError",
    "DuplicateKeyError",
    "FutureRevisionError",
    "KvError",
    "LeaseExistsError",
    "LeaseNotFoundError",
    "OutcomeUnknownError",
    "StoreFailedError",
    "refusal",
]


class KvError(Exception):
    """Base of everything the store raises; *code* names it on the wire."""

    code = "error"


class CompactedError(KvError):
    """The revision asked for is compacted away."""

    code = "compacted"


class FutureRevisionError(KvError):
    """The revision asked for has not happened."""

    code = "future-revision"


class DuplicateKeyError(KvError):
    """One branch of a transaction modifies a key twice."""

    code = "duplicate-key"


class LeaseNotFoundError(KvError):
    """There is no such lease, or its expiry is decided."""

    code = "lease-not-found"


class LeaseExistsError(KvError):
    """The lease id is taken."""

    code = "lease-exists"


class BadRequestError(KvError):
    """The request is not one the server knows."""

    code = "bad-request"


class ConnectionLostError(KvError):
    """The connection is gone; the request was never sent, or it only reads."""

    code = "connection-lost"


class OutcomeUnknownError(KvError):
    """No answer to a mutation came: it was applied once, or never."""

    code = "outcome-unknown"


class StoreFailedError(OutcomeUnknownError):
    """The disk failed under the store, which writes no more; what it was asked is in doubt."""

    code = "store-failed"


_REFUSALS: dict[str, type[KvError]] = {
    kind.code: kind
    for kind in (
        CompactedError,
        FutureRevisionError,
        DuplicateKeyError,
        LeaseNotFoundError,
        LeaseExistsError,
        BadRequestError,
        StoreFailedError,
    )
}


def refusal(code: str, message: str) -> KvError:
    """The exception that a server meant by *code*."""
    return _REFUSALS.get(code, KvError)(message)
