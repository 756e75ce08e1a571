"""Named random streams: independent, aligned, open to random access."""

import numpy as np
import pytest

from cqb.environment import draw
from cqb.streams import Streams


def test_a_stream_depends_on_its_name_and_seed_only():
    first = Streams(3).uniforms("arrivals", 50)
    other = Streams(3)
    other.uniforms("something else", 999)
    np.testing.assert_array_equal(first, other.uniforms("arrivals", 50))
    assert not np.array_equal(first, Streams(4).uniforms("arrivals", 50))
    assert not np.array_equal(first, other.uniforms("outcomes", 50))


def test_streams_are_uncorrelated():
    # 20,000 pairs: a correlation of .04 is more than five standard errors.
    draws = [Streams(1).uniforms(name, 20_000) for name in ("arrivals", "queries", "outcomes")]
    correlation = np.corrcoef(draws)
    assert (np.abs(correlation - np.eye(3)) < 0.04).all()


def test_a_round_draws_the_same_whatever_came_before():
    rounds = Streams(5).rounds("posterior")
    expected = [rounds.at(t).standard_normal((4, 3)) for t in range(1, 6)]
    again = Streams(5).rounds("posterior")
    again.at(2).random(12345)
    for t in (4, 1, 5):
        np.testing.assert_array_equal(again.at(t).standard_normal((4, 3)), expected[t - 1])


def test_a_longer_queue_extends_a_rounds_normals():
    rounds = Streams(5).rounds("posterior")
    few = rounds.at(9).standard_normal((2, 3, 4))
    np.testing.assert_array_equal(rounds.at(9).standard_normal((7, 3, 4))[:2], few)


def test_rounds_are_independent_normals():
    rounds = Streams(6).rounds("posterior")
    draws = np.array([rounds.at(t).standard_normal(2) for t in range(1, 4001)])
    assert abs(draws.mean()) < 5 / np.sqrt(8000)
    assert abs(draws.std() - 1) < 5 / np.sqrt(16000)
    lagged = np.corrcoef(draws[:-1, 0], draws[1:, 0])[0, 1]
    assert abs(lagged) < 5 / np.sqrt(4000)


def test_a_longer_horizon_extends_the_draws_and_a_higher_rate_adds_arrivals():
    short, long = draw(Streams(1), 40, 0.5, 100), draw(Streams(1), 40, 0.5, 300)
    for field in ("arrives", "row", "outcome", "coin"):
        np.testing.assert_array_equal(getattr(long, field)[:100], getattr(short, field))
    busier = draw(Streams(1), 40, 0.8, 300)
    assert (busier.arrives >= long.arrives).all()
    assert long.row.min() >= 0
    assert long.row.max() < 40


@pytest.mark.parametrize(
    ("rate", "T", "message"),
    [(1.2, 10, "arrival_rate: found 1.2"), (-0.1, 10, "arrival_rate"), (0.5, 0, "T: found 0")],
)
def test_impossible_runs_are_refused(rate, T, message):
    with pytest.raises(ValueError, match=message):
        draw(Streams(0), 10, rate, T)


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match="seed: found -1"):
        Streams(-1)
