"""How ACQB's results depend on its settings, and on the load: one factor at a time, K = 1."""
