"""Sets of assertions as integers."""

from hypothesis import given
from hypothesis import strategies as st

from assertlib.evidence.bits import Renumbering, counted, numbers_in

numbers = st.sets(st.integers(0, 70))
places = st.lists(st.none() | st.integers(0, 20), max_size=20) | st.integers(0, 20).map(
    lambda width: list(range(width))
)


def as_bits(members):
    return sum(1 << each for each in members)


@given(numbers)
def test_the_numbers_of_a_set_are_its_members_in_order(members):
    assert list(numbers_in(as_bits(members))) == sorted(members)


@given(st.lists(numbers, max_size=600))
def test_sets_are_counted_by_member(sets):
    expected = [sum(number in members for members in sets) for number in range(71)]

    assert counted(map(as_bits, sets), 71) == expected


@given(places, st.data())
def test_a_set_is_renumbered_member_by_member(chosen, data):
    members = data.draw(
        st.sets(st.integers(0, max(0, len(chosen) - 1))) if chosen else st.just(set())
    )

    moved = {chosen[number] for number in members} - {None}

    assert Renumbering(chosen).bits(as_bits(members)) == as_bits(moved)


@given(places, st.data())
def test_a_row_keeps_its_sums_and_counts_missing_numbers_as_zero(chosen, data):
    row = data.draw(st.lists(st.integers(0, 9), max_size=len(chosen)))

    moved = list(Renumbering(chosen).row(row))

    for place in range(len(moved)):
        expected = sum(n for n, to in zip(row, chosen, strict=False) if to == place)
        assert moved[place] == expected
    assert sum(moved) == sum(n for n, to in zip(row, chosen, strict=False) if to is not None)
