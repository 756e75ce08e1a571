"""The fast learner on a CPU. It takes the same decisions as the plain one and skips what cannot matter.

:mod:`.refit` is the estimate after every round, on the compressed :mod:`.history`, steered by
:mod:`.curvature`; :mod:`.online_estimator` is a constant-time alternative. :mod:`.lazy_inverse` is the
inverse precision matrix of a model, and :mod:`.thompson` the choice. :mod:`.kernels` and
:mod:`.draw_kernels` hold the loops that Numba compiles.
"""
