"""
The address of the evidence store: read, checked, and shown without its passwords.
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
    """The evidence store cannot be used; the text says why."""


class Address:
    """
    Where a store is.

    Attributes:
        url: For SQLAlchemy.
        shown: For people: without passwords and options.
    """

    _secrets: list[str]

    def __init__(self, where: str | Path) -> None:
        """
        Args:
            where: As SQLAlchemy writes it, or a file of SQLite.

        Raises:
            StoreError: It is malformed; the text holds nothing of it that may be a password.
        """
        if isinstance(where, Path):
            self.url, self._secrets = sa.URL.create("sqlite", database=str(where)), []
            self.shown = f"sqlite:///{where}"
            return
        url = _parsed(where)
        if url.drivername == "postgresql":
            url = url.set(drivername="postgresql+psycopg")
        self.url = url
        self.shown = url.set(query={}).render_as_string(hide_password=True)
        self._secrets = sorted(_secrets(url), key=len, reverse=True)

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file of SQLite."""
        return self.url.get_backend_name() == "sqlite"

    def without_secrets(self, text: str) -> str:
        """*text*, such as the error of a driver, without the passwords of this address."""
        for secret in self._secrets:
            text = text.replace(secret, _HIDDEN)
        return text


def _parsed(text: str) -> sa.URL:
    if not text.isprintable():
        raise _malformed("it holds characters that cannot be printed")
    try:
        url = sa.make_url(text)
    except SQLAlchemyError:
        raise _malformed("it is not a URL") from None
    except ValueError:
        raise _malformed("its port is not a number") from None
    if url.get_backend_name() not in _BACKENDS:
        raise StoreError(f"{ENVIRONMENT}: {url.drivername} is not supported; {_EXAMPLES}")
    if url.port is not None and not 0 < url.port <= _LAST_PORT:
        raise _malformed(f"its port is not from 1 to {_LAST_PORT:,}")
    if "@" in (url.host or ""):
        raise _malformed("an @ in a user name or password is written as %40")
    return url


def _malformed(why: str) -> StoreError:
    return StoreError(f"{ENVIRONMENT}: the address is malformed: {why}; {_EXAMPLES}")


def _secrets(url: sa.URL) -> set[str]:
    """The passwords in *url*, as they are and as they may be written."""
    found = [] if url.password is None else [str(url.password)]
    for name, value in url.query.items():
        if any(word in name.lower() for word in ("password", "secret")):
            found += [value] if isinstance(value, str) else value
    return {form(each) for each in found if each for form in (str, quote, quote_plus, _all_quoted)}


def _all_quoted(text: str) -> str:
    return quote(text, safe="")
