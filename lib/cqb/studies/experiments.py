"""The paper's experiments on its data sets and on others of their kind, and their reports.

Settings are the paper's (arXiv 2602.02061). Its own sets run at the first or middle of its arrival
rates, and the ``-paper`` studies at all of them. ParetoBandit is of SPROUT's kind (strong models, graded
scores), ZeroEval and LLMRouter of EmbedLLM's (right or wrong, no dollars). Their arrival rate is 85% of
what the oracle can serve on the tuning rows at lam 0, rounded to .05. A stand-in is generated data with
the shape of the set it is named after, for a run that needs no download; it says nothing about that set.
"""

import functools
from typing import Any

import pandas as pd

from .. import claims
from ..experiments import LONG_VECTORS, PAPER_POLICIES, Experiment
from ..policies import LearnerSettings
from ..runs import Cell, shares_of
from ..stats import final_summary
from ..study import Study

VERSION = 1
SETS = claims.SETS


def _cells(
    rates: dict[int, tuple[float, ...]], lams: tuple[float, ...] = (0.0, 1.0, 5.0)
) -> tuple[Cell, ...]:
    """Every K with each of its arrival rates and each lam."""
    return tuple(Cell(K, lam, rate) for K in rates for rate in rates[K] for lam in lams)


ROUTERBENCH = Experiment(
    dataset="routerbench",
    cells=_cells({1: (0.5,), 2: (0.65,)}),
    policies=PAPER_POLICIES,
    seeds=tuple(range(42, 52)),
)
SPROUT = ROUTERBENCH.with_(
    dataset="sprout",
    cells=_cells({1: (0.8,), 2: (0.85,)}),
    learner=LearnerSettings(alpha_coef=1e-3, exploration_rate=0.05),
)
EMBEDLLM = ROUTERBENCH.with_(dataset="embedllm", cells=_cells({1: (0.4,), 2: (0.55,)}))
# What goes beyond the paper (notebook 09), and INFORMED, which knows the odds of fresh draws.
BEYOND = ("ACQB-tuned", "ACQB-P", "ACQB-P-tuned", "TS-memory", "INFORMED")
PARETOBANDIT = SPROUT.with_(dataset="paretobandit", cells=_cells({1: (0.8,), 2: (0.8,)}))
ZEROEVAL = EMBEDLLM.with_(dataset="zeroeval", cells=_cells({1: (0.75,), 2: (0.8,)}, lams=(0.0,)))
LLMROUTER = ZEROEVAL.with_(dataset="llmrouter", cells=_cells({1: (0.3,), 2: (0.45,)}, lams=(0.0,)))
REAL = {one.dataset: one for one in (ROUTERBENCH, SPROUT, EMBEDLLM)}
OTHERS = {one.dataset: one for one in (PARETOBANDIT, ZEROEVAL, LLMROUTER)}
# The stand-ins of the two larger sets are shown with fewer seeds and rounds.
SHORT: dict[str, Any] = {"seeds": (42, 43, 44), "T": 2000}
STAND_INS = {
    name: of.with_(dataset=name, **({} if of is ROUTERBENCH else SHORT))
    for name, of in ((f"{set_}-standin", of) for set_, of in REAL.items())
}
RATES = {
    "routerbench": {1: (0.5, 0.6, 0.7), 2: (0.65, 0.75, 0.85)},
    "sprout": {1: (0.7, 0.8, 0.9), 2: (0.75, 0.85, 0.95)},
    "embedllm": {1: (0.3, 0.4, 0.5), 2: (0.45, 0.55, 0.65)},
}
# The length of the vectors is a matter of its own (notebook 02); the full paper has it too.
PAPER = {
    name: of.with_(cells=_cells(RATES[name]), policies=(*PAPER_POLICIES, LONG_VECTORS))
    for name, of in REAL.items()
}
EXPERIMENTS = {**STAND_INS, **REAL, **OTHERS, "paretobandit-short": PARETOBANDIT.with_(**SHORT)}
LONG = ("routerbench-standin", "paretobandit")  # here on every machine, and minutes of CPU


def shown(dataset: str, **changes: Any) -> Study:
    """The study of a data set that its notebook shows; `changes` are settings of the experiment.

    The default run makes those from the start whose data are here, but for the :data:`LONG` ones.

    Parameters
    ----------
    dataset : a key of :data:`EXPERIMENTS`.
    """
    default = dataset not in LONG
    return EXPERIMENTS[dataset].with_(**changes).study(dataset, VERSION, shares_of, default=default)


def further(dataset: str, **changes: Any) -> Study:
    """The same for policies beyond the paper (:data:`BEYOND`); not run by default."""
    of = EXPERIMENTS[dataset].with_(policies=BEYOND, **changes)
    return of.study(f"{dataset}-beyond", VERSION)


WIDER = ("routerbench", *OTHERS)
MORE = tuple(f"{name}-beyond" for name in WIDER)
STUDIES: dict[str, Study] = {
    **{name: shown(name) for name in EXPERIMENTS},
    **{f"{name}-beyond": further(name) for name in WIDER},
    **{f"{name}-paper": of.study(f"{name}-paper", VERSION) for name, of in PAPER.items()},
}


def _stored(names: tuple[str, ...]) -> list[pd.DataFrame]:
    """The stored tables among `names`; FileNotFoundError if there is none."""
    tables = [STUDIES[name].read() for name in names if STUDIES[name].is_stored()]
    if not tables:
        raise FileNotFoundError(f"none of {', '.join(names)} is stored")
    return tables


def summary(names: tuple[str, ...]) -> pd.DataFrame:
    """Final means with intervals, a row per data set, cell and policy."""
    return final_summary(pd.concat(_stored(names)))


def paper_claims(names: tuple[str, ...]) -> pd.DataFrame:
    """The claims of the paper's abstract against each stored table."""
    return pd.concat([claims.paper_claims(table) for table in _stored(names)], ignore_index=True)


def results(name: str) -> pd.DataFrame:
    """Final values in full, a row per cell and policy, with the authors' own numbers."""
    return claims.full_table(STUDIES[name].read())


REPORTS = {
    "summary.csv": functools.partial(summary, tuple(STAND_INS)),
    "real/summary.csv": functools.partial(summary, (*REAL, *OTHERS, *MORE)),
    "claims.csv": functools.partial(paper_claims, tuple(STAND_INS)),
    "real/claims.csv": functools.partial(paper_claims, (*REAL, *OTHERS)),
    "real/paper_claims.csv": functools.partial(paper_claims, tuple(f"{s}-paper" for s in SETS)),
    **{f"{name}_results.csv": functools.partial(results, name) for name in STAND_INS},
    **{
        f"real/{name}_results.csv": functools.partial(results, name)
        for name in (*REAL, *OTHERS, *(f"{name}-paper" for name in PAPER))
    },
}
