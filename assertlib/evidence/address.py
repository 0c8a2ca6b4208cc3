"""
The address of the evidence store: parsed, validated, and displayed without its passwords.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, quote_plus

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from ..errors import DataError

ENVIRONMENT = "ASSERTLIB_EVIDENCE_URL"
_BACKENDS = ("sqlite", "postgresql")
_EXAMPLES = "write an address such as sqlite:////FILE or postgresql://HOST/NAME"
_LAST_PORT = 65_535
_HIDDEN = "***"


class StoreError(DataError):
    """The evidence store cannot be used; the text gives the reason."""


class Address:
    """
    The location of a store.

    Attributes:
        url: The address in the form that SQLAlchemy takes.
        shown: The address for display, without passwords and options.
    """

    _secrets: list[str]

    def __init__(self, where: str | Path) -> None:
        """
        Args:
            where: An address as SQLAlchemy writes it, or the path of an SQLite file.

        Raises:
            StoreError: The address is malformed; the text quotes no part of it that may be a
                password.
        """
        # A path is not parsed: a ``?`` or ``#`` in a directory name is not part of an address.
        if isinstance(where, Path):
            self.url, self._secrets = sa.URL.create("sqlite", database=str(where)), []
            self.shown = f"sqlite:///{where}"
            return
        url = _parsed(where)
        if url.drivername == "postgresql":
            url = url.set(drivername="postgresql+psycopg")
        self.url = url
        # Options may carry credentials, such as ``?password=``, which hide_password leaves alone.
        self.shown = url.set(query={}).render_as_string(hide_password=True)
        # Longest first, or a short password would cut a longer one that contains it in two.
        self._secrets = sorted(_secrets(url), key=len, reverse=True)

    @property
    def is_sqlite(self) -> bool:
        """Whether the store is an SQLite file."""
        return self.url.get_backend_name() == "sqlite"

    def without_secrets(self, text: str) -> str:
        """*text*, such as a driver's error message, with the passwords of this address masked."""
        for secret in self._secrets:
            text = text.replace(secret, _HIDDEN)
        return text


def _parsed(text: str) -> sa.URL:
    if not text.isprintable():
        raise _malformed("it contains unprintable characters")
    try:
        url = sa.make_url(text)
    except SQLAlchemyError:
        # The cause quotes the whole address, password included; it must not reach a traceback.
        raise _malformed("it is not a URL") from None
    except ValueError:
        raise _malformed("its port is not a number") from None
    if url.get_backend_name() not in _BACKENDS:
        raise StoreError(f"{ENVIRONMENT}: {url.drivername} is not supported; {_EXAMPLES}")
    if url.port is not None and not 0 < url.port <= _LAST_PORT:
        raise _malformed(f"its port is not between 1 and {_LAST_PORT:,}")
    # SQLAlchemy ends a password at the first @, so the rest of it would be shown as the host.
    if "@" in (url.host or ""):
        raise _malformed("an @ in a user name or password must be written as %40")
    return url


def _malformed(why: str) -> StoreError:
    return StoreError(f"{ENVIRONMENT}: the address is malformed: {why}; {_EXAMPLES}")


def _secrets(url: sa.URL) -> set[str]:
    """The passwords in *url*, verbatim and in every percent-encoding that may be displayed."""
    found = [] if url.password is None else [str(url.password)]
    for name, value in url.query.items():
        if any(word in name.lower() for word in ("password", "secret")):
            found += [value] if isinstance(value, str) else value
    return {form(each) for each in found if each for form in (str, quote, quote_plus, _all_quoted)}


def _all_quoted(text: str) -> str:
    return quote(text, safe="")
