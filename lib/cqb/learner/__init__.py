"""The fast learner on a CPU. It takes the same decisions as the plain one and skips what cannot matter.

:mod:`.refit` has the estimates after every round, on the compressed :mod:`.history`. :mod:`.lazy_inverse`
has the inverse precision of a model and the inverse Hessian that steers a refit, and :mod:`.thompson` the
choice. :mod:`.kernels` and :mod:`.draw_kernels` hold the loops that Numba compiles.
"""
