"""
Randomness with the names of the Antithesis SDK.
"""

import random as standard

import pytest

from assertlib.random import AntithesisRandom, get_random, random_choice


@pytest.fixture
def repeatable(dice):
    """Makes what follows depend on the printed seed alone."""
    state = standard.getstate()
    seed = dice.getrandbits(64)
    standard.seed(seed)
    yield lambda: standard.seed(seed)
    standard.setstate(state)


def test_get_random_gives_64_bits_each_of_which_varies(repeatable):
    numbers = [get_random() for _ in range(200)]
    assert all(0 <= number < 2**64 for number in numbers)
    assert len(set(numbers)) == 200
    for bit in range(64):
        assert {number >> bit & 1 for number in numbers} == {0, 1}


def test_a_seeded_program_repeats_its_choices(repeatable):
    def choices():
        return get_random(), [random_choice(list("abcdef")) for _ in range(20)]

    first = choices()
    repeatable()
    assert choices() == first


def test_random_choice_can_choose_each_thing(repeatable):
    assert {random_choice([1, 2, 3]) for _ in range(200)} == {1, 2, 3}
    assert random_choice(["only"]) == "only"


def test_random_choice_favours_nothing(repeatable):
    chosen = [random_choice([0, 1, 2]) for _ in range(6000)]
    assert all(1700 < chosen.count(each) < 2300 for each in range(3))


def test_there_is_no_choice_among_nothing():
    with pytest.raises(IndexError):
        random_choice([])


def test_the_generator_has_all_methods_of_a_standard_one(repeatable):
    dice = AntithesisRandom()
    things = list(range(100))
    dice.shuffle(things)
    assert sorted(things) == list(range(100))
    assert dice.choice("a") == "a"
    assert sorted(dice.sample(range(10), 10)) == list(range(10))
    assert all(5 <= dice.randint(5, 8) <= 8 for _ in range(100))
    assert all(0.0 <= dice.random() < 1.0 for _ in range(1000))
    assert len(dice.randbytes(33)) == 33
    assert isinstance(dice.gauss(0, 1), float)


@pytest.mark.parametrize("bits", [0, 1, 7, 63, 64, 65, 128, 1000])
def test_getrandbits_gives_that_many_bits_each_of_which_varies(repeatable, bits):
    dice = AntithesisRandom()
    seen = 0
    for _ in range(200):
        number = dice.getrandbits(bits)
        assert 0 <= number < 2**bits
        seen |= number
    assert seen == 2**bits - 1


def test_getrandbits_of_a_negative_number_is_refused_as_by_the_standard():
    for dice in (standard.Random(), AntithesisRandom()):
        with pytest.raises(ValueError):
            dice.getrandbits(-1)


def test_seeding_the_generator_does_not_make_it_repeat(repeatable):
    dice = AntithesisRandom(1)
    first = dice.getrandbits(64)
    dice.seed(1)
    assert dice.getrandbits(64) != first


def test_the_state_of_the_generator_is_not_ours():
    dice = AntithesisRandom()
    with pytest.raises(NotImplementedError):
        dice.getstate()
    with pytest.raises(NotImplementedError):
        dice.setstate(standard.getstate())
