"""PORT: routing queries to language models under hard token budgets (arXiv 2509.02718).

Queries arrive one by one. Every model has a budget in dollars; a router sends each query to one
model or to none. PORT estimates scores and costs from similar queries of a history, fits one price
per model on its first queries, and then takes the model of largest score less priced cost.

- :mod:`.features`, :mod:`.predictors`: estimates of scores and costs, arrays (M, n) for M models
- :mod:`.dual`: the routing programme, and prices from its dual
- :mod:`.session`: what a router is, admission under the budgets, and the metrics of a run
- :mod:`.router`: the published router, and ours
- :mod:`.queueing`: PORT and ACQB in one queue with retrials
- :mod:`.registry`, :mod:`.scenario`, :mod:`.studies`, :mod:`.summaries`: the comparison

``python -m cqb run port-comparison-routerbench`` runs a study; ``python -m cqb list`` names them all.
"""
