"""The fast learner on a CPU. It takes the same decisions as the plain one and skips what cannot matter.

:mod:`.refit` has the estimates after every round, on the compressed :mod:`.history`, and
:mod:`.lazy_inverse` the inverse precision of a model and the inverse Hessian that steers a refit.
:mod:`.thompson` is the choice. Numba compiles :mod:`.kernels`, :mod:`.absorb_kernels` and
:mod:`.draw_kernels`, see :mod:`.compiling`.
"""
