"""The sliders on the toy queue: they redraw, and every position can be played."""

from itertools import product

import numpy as np
import pytest

from sliders import picture, play, sliders

START = {"seed": 2, "arrival_rate": 0.7, "K": 2, "exploring": 0.15, "ridge": 0.25}


@pytest.fixture(scope="module")
def box():
    return sliders(T=60)


def test_the_first_picture_is_that_of_the_settings(box):
    *_, shown = box.children
    assert shown.value == picture(60, **START)


@pytest.mark.parametrize(
    ("place", "name", "value"),
    [
        (0, "arrival_rate", 0.95),
        (1, "K", 1),
        (2, "exploring", 0.0),
        (3, "ridge", 10.0),
        (4, "seed", 7),
    ],
)
def test_each_slider_redraws_with_its_own_setting(box, place, name, value):
    knob, shown = box.children[place], box.children[-1]
    before = knob.value
    knob.value = value
    assert shown.value == picture(60, **{**START, name: value})
    assert shown.value != picture(60, **START)
    knob.value = before


def test_the_ends_of_all_sliders_can_be_played(box):
    """No position is out of the learner's range, such as more exploration than arrivals."""
    rate, K, exploring, ridge, seed = ((knob.min, knob.max) for knob in box.children[:-1])
    for values in product(rate, K, exploring, np.power(10.0, ridge), seed):
        names = ("arrival_rate", "K", "exploring", "ridge", "seed")
        assert play(5, **dict(zip(names, values, strict=True))).T == 5
