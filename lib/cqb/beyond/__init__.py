"""Beyond ACQB: policies that learn from the retrials of the same query, tuned and compared."""
