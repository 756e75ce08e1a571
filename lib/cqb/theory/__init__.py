"""The theory of contextual queueing bandits as numbered predictions, each with a check.

E1 to E10 are exact statements, R1 to R11 asymptotic ones; sources are arXiv 2601.19300 (logistic
bandits, CQB-eps, CQB-Opt), 2602.02061 (multinomial logit, ACQB) and 2606.09668 (CQB-eta-2), and
our own derivations. Closed forms and recursions: :mod:`.laws`, :mod:`.capacities`. Worlds and runs:
:mod:`.worlds`. Checks: :mod:`.exact`, :mod:`.queueing`, :mod:`.pathwise`, :mod:`.rates` and
:mod:`.learning`, each with functions that run one task and functions that judge all rows
(:mod:`.verdicts`). :mod:`cqb.studies.theory` lists the predictions and declares their studies.
Notebook 01 presents them.
"""
