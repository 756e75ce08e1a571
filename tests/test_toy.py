"""The toy queue tells its own story truly."""

import numpy as np
import pytest

from cqb import toy
from cqb.simulate import RETRY


@pytest.fixture(scope="module")
def played():
    return toy.play(seed=2, T=12, K=2, arrival_rate=0.7)


def test_the_diary_follows_the_trajectory(played):
    diary, run = toy.diary(played), played.trajectory
    assert len(diary) == 12
    waiting = diary["waiting"].map(lambda text: 0 if text == "-" else len(text.split()))
    assert waiting.tolist() == run.queue[:-1].tolist()
    assert (diary["arrives"] != "-").sum() == run.arrived.size
    for i, row in diary.iterrows():
        if run.query[i] < 0:
            assert row["served"] == row["offered"] == row["the user"] == "-"
            continue
        assert row["served"].split()[0] in row["waiting"].split()
        assert ("exploring" in row["offered"]) == run.forced[i]
        assert (row["the user"] == "retries") == (run.pick[i] == RETRY)
        if run.pick[i] >= 0:
            assert row["the user"].removeprefix("picks ") in row["offered"]


def test_a_retrying_query_goes_to_the_back(played):
    diary = toy.diary(played)
    for row, after in zip(diary.to_dict("records"), diary["waiting"][1:], strict=False):
        if row["the user"] == "retries":
            queue = after.split()
            back = queue[:-1] if row["arrives"] != "-" else queue
            assert back[-1] == row["served"].split()[0]


def test_the_committed_dozen_shows_a_bit_of_everything(played):
    run = played.trajectory
    assert set(played.kinds) == set(toy.KINDS)
    assert run.forced.any()
    assert run.retrial.any()
    assert (run.departed == 0).any()
    assert (run.queue > played.oracle.queue).any()


def test_belief_is_even_before_and_learns_with_time():
    assert (toy.before() == 50).all().all()
    error = [
        np.abs(toy.belief(toy.play(seed=2, T=T, K=2, arrival_rate=0.7).theta) - toy.truth())
        .mean()
        .mean()
        for T in (1, 2000)
    ]
    assert error[1] < error[0] / 2


def test_the_account_adds_up(played):
    run = played.trajectory
    text = toy.account(played)
    assert f"{run.arrived.size} queries in 12 rounds" in text
    for query in np.flatnonzero(run.departed == 0):
        assert f"q{query + 1} (" in text
