"""The claims of the three abstracts in our words, each with evidence and a verdict: figures/claims.json.

Everything is derived from stored tables. Those of the two other systems are read by their names, so this
package imports neither of them.
"""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from .. import claims
from ..stats import differences, interval
from ..study import store
from ..tables import select
from . import experiments, theory

ACQB, PORT, QOS = "arXiv 2602.02061", "arXiv 2509.02718", "arXiv 2508.00234"
HOLDS, FAILS, UNDECIDED = "holds", "fails", "undecided"
UNMET, GENERATED = "assumptions not met", "generated data only"
WORDS = {"reproduced": HOLDS, "not reproduced": FAILS, "not decided": UNDECIDED}
RULES = ("Q-UCB", "Q-ThS", "RANDOM")
# A claim in our words, and the tested ones that it rests on; the least favourable of them decides.
TESTED = {
    "ACQB's regret grows like the square root of t": ["ACQB's routing regret grows like sqrt(t)"],
    "ACQB's queue comes closer to the oracle's": ["ACQB's queue-length regret shrinks"],
    "ACQB has less regret than Q-UCB, Q-ThS and RANDOM": [f"ACQB beats {rule}" for rule in RULES],
    "ACQB has less regret than CQB-eps": ["ACQB beats CQB-eps"],
    "ACQB-CL has less regret than Q-UCB, Q-ThS and RANDOM": [
        f"ACQB-CL beats {rule}" for rule in RULES
    ],
    "ACQB-CL has less regret than ACQB": ["ACQB-CL beats ACQB at equal scale"],
}
IN_THEORY = {
    "R1": ("ACQB's regret grows like the square root of t", "01_rates", "slope of the regret"),
    "R2": ("ACQB's queue comes closer to the oracle's", "01_rates", "slope of the queue's regret"),
}
RUN = "python -m cqb run --fresh"
SHOWN_IN = {  # notebook, figure, command, minutes
    "routerbench": ("03_routerbench", "03_regret_K1", "CQB_ROUTERBENCH_DIR=... make reproduce", 5),
    "paretobandit": ("04_strong_models", "04_regret_K1", f"{RUN} paretobandit", 15),
    "zeroeval": ("05_many_models", "05_regret_K1", f"{RUN} zeroeval", 5),
    "llmrouter": ("05_many_models", "05_llmrouter_K1", f"{RUN} llmrouter", 5),
}
PORT_SETS = {"port-comparison-routerbench": "06_real_settings"}
PORT_SETS |= {"port-comparison-paretobandit": "06_paretobandit"}
SIMPLE = ("Random", "Greedy-Perf", "Greedy-Cost", "KNN-Perf", "KNN-Cost", "BatchSplit")
SIMPLE += ("Predictor-Perf", "Predictor-Cost")
LOADS = (("Poisson", 3.0), ("Poisson", 4.0), ("Gamma", 3.0))  # those that prices are chosen for
TRAININGS = ("DDQN #0", "DDQN #1", "DDQN #2")
ENDS = ["estimate", "low", "high"]
COLUMNS = ["claim", "source", "data", "stand_in", "measure", *ENDS, "verdict"]
COLUMNS += ["notebook", "figure", "command", "minutes"]


def table() -> pd.DataFrame:
    """All claims, a row per claim and data set; columns :data:`COLUMNS`."""
    rows = [*_in_theory(), *_on_real_rows(), *_port(), *_qos()]
    return pd.DataFrame(rows, columns=COLUMNS)


def verdicts(found: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The verdicts of :func:`table` for people: by paper, a row per claim and a column per data set.

    Notebook 08, the README and the site show these. A claim that was not tested on a set has "".
    """
    rows = found.assign(data=claims.short(found["data"]))
    wide = rows.pivot(index="claim", columns="data", values="verdict").fillna("")
    wide.index.name = wide.columns.name = None
    groups = rows.groupby("source", sort=False)
    return {by: wide.loc[own["claim"].unique(), own["data"].unique()] for by, own in groups}


def _row(*values: Any) -> dict[str, Any]:
    """A row of :func:`table` from its values in the order of :data:`COLUMNS`."""
    return dict(zip(COLUMNS, values, strict=True))


def _in_theory() -> Iterator[dict[str, Any]]:
    """Two bounds on worlds that meet the assumptions."""
    checks, data = theory.verdicts().set_index("id"), "worlds that meet the assumptions"
    for id, (claim, figure, measure) in IN_THEORY.items():
        found = checks.loc[id]
        shown = ("01_theory_checks", figure, "make theory", 15)
        verdict = found["verdict"] if found["verdict"] in (HOLDS, FAILS) else UNDECIDED
        yield _row(claim, ACQB, data, True, measure, *found[ENDS], verdict, *shown)


def _on_real_rows() -> Iterator[dict[str, Any]]:
    """The claims on ACQB against every real table: the least favourable comparison of each."""
    for name, shown in SHOWN_IN.items():
        tested = claims.paper_claims(experiments.STUDIES[name].read())
        of_regret = ~tested["measure"].str.startswith("queue-length regret, difference")
        for claim, parts in TESTED.items():
            own = tested[tested["claim"].isin(parts) & of_regret]
            worst = own.loc[own["high"].idxmax()]
            verdict = WORDS[worst["verdict"]]
            # The square root is proved for utilities that are linear in the context.
            if worst["measure"] == claims.GROWTH and verdict == FAILS:
                verdict = UNMET
            found = worst["measure"], *worst[ENDS]
            yield _row(claim, ACQB, worst["data"], False, *found, verdict, *shown)


def _port() -> Iterator[dict[str, Any]]:
    """PORT as published against the best simple rule, and how much of the optimum it reaches."""
    for name, figure in PORT_SETS.items():
        rows = select(store.read_verified(name)[0], experiment="split", setting="weighted")
        data = f"{rows['dataset'].iloc[0]} (real rows)"
        shown = ("06_port_token_budgets", figure, "make port", 10)
        others = select(differences(rows, "PORT-ref", ["setting"], ["lpr"]), policy=SIMPLE)
        best = others.loc[others["lpr_difference"].idxmax()]
        ends = -best["lpr_difference"], -best["lpr_high"], -best["lpr_low"]
        # The claimed side is above 0; of the rule's difference, below.
        verdict = WORDS[claims.verdict_on(best["lpr_low"], best["lpr_high"], 0.0, False)]
        measure = f"score less that of {best['policy']}, in shares of the optimum"
        claim = "PORT scores more than every simple rule under the same budget"
        yield _row(claim, PORT, data, False, measure, *ends, verdict, *shown)
        *ends, _ = interval(select(rows, policy="PORT-ref").set_index("seed")["lpr"])
        claim = "PORT comes close to the optimum when queries are many"
        measure = "score, in shares of the optimum, at fewer than 900 queries"
        yield _row(claim, PORT, data, False, measure, *ends, UNMET, *shown)


def _qos() -> Iterator[dict[str, Any]]:
    """The worst of three trainings against the best rule, on the same generated requests."""
    rows = pd.concat([store.read_verified(name)[0] for name in ("qos-sweep", "qos-learned")])
    rows = select(rows, part="test", system="default")
    at = pd.MultiIndex.from_frame(rows[["kind", "rate"]]).isin(LOADS)
    shown = ("07_qos_edge_experts", "07_learned", "make qos", 10)
    wanted = {"qos": "average QoS", "qos_per_busy_second": "QoS per busy second"}
    for measure, label in wanted.items():
        means = rows[at].groupby(["policy", "seed"])[measure].mean().unstack("seed")
        learned = means.loc[means.loc[list(TRAININGS)].mean(axis=1).idxmin()]
        rules = means[~means.index.str.startswith("DDQN")]
        best = rules.mean(axis=1).idxmax()
        found = f"{label} less that of {best}", *interval(learned - rules.loc[best])[:3]
        claim = f"A learned router has a higher {label} than every rule"
        yield _row(claim, QOS, "synthetic requests, three loads", True, *found, GENERATED, *shown)


STUDIES: dict[str, Any] = {}
REPORTS = {"claims.json": table}
