"""Running one check at any number of seeds and rounds."""

import pandas as pd
import pytest

from cqb.studies import theory


@pytest.fixture
def rows_of():
    """The rows of a check with a number of seeds and rounds."""

    def rows_of(check, seeds, T):
        tasks = theory.RUNS[check].tasks(check, seeds, T)
        return pd.concat([theory.run(task) for task in tasks], ignore_index=True)

    return rows_of


@pytest.fixture
def judge(rows_of):
    """The verdict on a prediction from the rows of its first check."""

    def judge(id, seeds, T):
        check = theory.JUDGED_BY.get(id, [id])[0]
        return theory.judged(id, {check: rows_of(check, seeds, T)})

    return judge
