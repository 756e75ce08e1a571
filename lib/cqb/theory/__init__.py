"""The theory of contextual queueing bandits as numbered predictions, each with a check.

E1 to E10 are exact statements, R1 to R11 asymptotic ones; sources are arXiv 2601.19300 (logistic
bandits, CQB-eps, CQB-Opt), 2602.02061 (multinomial logit, ACQB) and 2606.09668 (CQB-eta-2), and
our own derivations. Closed forms and recursions: :mod:`.queues`, :mod:`.capacities`,
:mod:`.scheduling`, :mod:`.memory`, :mod:`.optimism`. Checks:
:mod:`.exact`, :mod:`.queue_laws`,
:mod:`.overload`, :mod:`.pathwise`, :mod:`.divergence`, :mod:`.behaviour`, :mod:`.plateau` and
:mod:`.asymptotic`, each with a verdict and the table behind it. Notebook 01 tells the story.
"""
