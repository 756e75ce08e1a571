"""Moving arrays between libraries, none of which is imported without need."""

import subprocess
import sys

import array_api_strict
import numpy as np

from cqb import arrays


def test_arrays_move_there_and_back():
    device = array_api_strict.Device("device1")
    there = arrays.asarray(np.arange(3.0), array_api_strict.asarray([0.0], device=device))
    assert there.device == device
    np.testing.assert_array_equal(arrays.to_numpy(there), [0.0, 1.0, 2.0])


def test_importing_the_package_imports_no_optional_library():
    code = (
        "import sys, cqb; "
        "print(*[m for m in ('cupy', 'torch', 'sentence_transformers') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == ""
