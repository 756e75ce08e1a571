"""What `import cqb` loads: the public names wait for their first use."""

import subprocess
import sys

import pytest

import cqb

HEAVY = (
    "IPython",
    "joblib",
    "matplotlib",
    "numba",
    "pandas",
    "pyarrow",
    "scipy",
    "seaborn",
    "torch",
)


def loaded(statement: str) -> set[str]:
    """The heavy packages that a new interpreter has imported after a statement."""
    look = f"import sys; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    found = subprocess.run(
        [sys.executable, "-c", f"{statement}\n{look}"], capture_output=True, text=True, check=True
    )
    return set(found.stdout.split())


@pytest.mark.parametrize(
    ("statement", "may"),
    [
        ("import cqb", set()),
        ("import cqb; dir(cqb)", set()),
        ("import cqb; cqb.datasets", set()),
        ("import cqb; cqb.solve_c1", set()),
        ("from cqb import simulate, environment, synthetic", set()),
        ("from cqb import POLICIES, Router", {"numba", "scipy"}),
        ("from cqb import Study", {"pandas", "pyarrow"}),
        ("from cqb import run", {"numba", "pandas", "pyarrow", "scipy"}),
    ],
)
def test_imports_load_no_more_than_they_need(statement, may):
    assert loaded(statement) <= may


def test_every_public_name_is_there():
    assert set(cqb.__all__) <= set(dir(cqb))
    for name in cqb.__all__:
        assert getattr(cqb, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        cqb.nothing  # noqa: B018
