"""
The two forms of a test: the short one runs in `make test`, the long one in `make test-long`.

A property or a campaign that finds more the longer it runs has both forms, in the same test: the
long one is chosen by ``-m long``, and by Hypothesis' profile of that name.  A test that is long
whatever it is given is marked ``long`` itself, and a shorter test covers the same code.
"""

import pytest
from hypothesis import HealthCheck, settings

SHORT, LONG = "short", "long"
# How long an example takes depends more on the machine than on the code.
_ANY_MACHINE = settings(
    deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(SHORT, _ANY_MACHINE, max_examples=30)
settings.register_profile(LONG, _ANY_MACHINE, max_examples=100)


def is_long():
    return settings.get_current_profile_name() == LONG


def by_form(short, long):
    """What depends on the form, such as a number of examples."""
    return long if is_long() else short


def has_long_form(test):
    """Decorate a test that uses `by_form`; properties of Hypothesis need no decorator."""
    return pytest.mark.long(test) if is_long() else test


def sampled(values, every):
    """Parameters of a test, of which the short form takes one in *every*."""
    return [
        value if number % every == 0 else pytest.param(*_as_tuple(value), marks=pytest.mark.long)
        for number, value in enumerate(values)
    ]


def places(count, every):
    """Where something is cut or damaged: everywhere, or in the short form in one place of *every*."""
    return sorted({*range(0, count, by_form(every, 1)), count - 1})


def _as_tuple(value):
    return value if isinstance(value, tuple) else (value,)


def choose(config):
    """Choose the long form for ``-m long``; ``--hypothesis-profile``, loaded later, overrides it."""
    settings.load_profile(LONG if config.getoption("markexpr") == LONG else SHORT)


def mark(item):
    """In the long form, select what has one."""
    if is_long() and getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
        item.add_marker(pytest.mark.long)
