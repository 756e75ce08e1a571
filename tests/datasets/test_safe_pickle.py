import os
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cqb.datasets import routerbench
from cqb.datasets.safe_pickle import ALLOWED, UnsafePickleError, load_frame

# Written by `DataFrame.to_pickle` of the pandas in their names (NumPy 1.26 for the older ones):
# two models, three rows, the last without a score for "b-model". The one of protocol 5 is laid
# out as the published table is, with its scores as Python floats in columns of objects.
OLD_PICKLES = sorted((Path(__file__).parents[1] / "fixtures").glob("routerbench_*.pkl"))


def frame(strings=None):
    made = pd.DataFrame(
        {
            "sample_id": ["fam.test.1", "fam.test.2", "mbpp.dev.1"],
            "prompt": ["['Q one?']", "['Q two?']", "['Write a function.']"],
            "eval_name": ["fam", "fam", "mbpp"],
            "a/model": [1.0, 0.0, 0.5],
            "b-model": [0.0, 1.0, np.nan],
            "a/model|model_response": ["x", "y", "z"],
            "a/model|total_cost": [0.001, 0.002, 0.003],
            "b-model|total_cost": [1e-5, 2e-5, 3e-5],
            "oracle_model_to_route_to": ["a/model", "b-model", "a/model"],
        }
    )
    if strings is not None:
        texts = [name for name in made if not pd.api.types.is_float_dtype(made[name])]
        made = made.astype(dict.fromkeys(texts, strings))
    return made


class Payload:
    """Pickled, it is a call of `os.system`."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.system, (f"touch {self.trace}",)


def put(folder, value, protocol=4):
    path = folder / routerbench.PICKLE
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", [4, 5])
@pytest.mark.parametrize("strings", [None, "object", "string", "string[python]", "string[pyarrow]"])
def test_a_frame_of_the_installed_pandas_comes_back(tmp_path, strings, protocol):
    path = put(tmp_path, frame(strings), protocol)
    pd.testing.assert_frame_equal(load_frame(path), frame(strings))


@pytest.mark.parametrize("protocol", [4, 5])
def test_a_filtered_frame_with_gaps_in_its_index_comes_back(tmp_path, protocol):
    wanted = frame("object").iloc[[0, 2]]
    pd.testing.assert_frame_equal(load_frame(put(tmp_path, wanted, protocol)), wanted)


@pytest.mark.parametrize("path", OLD_PICKLES, ids=lambda path: path.stem)
def test_pickles_of_older_pandas_make_a_table(tmp_path, path):
    (tmp_path / routerbench.PICKLE).write_bytes(path.read_bytes())
    table = routerbench.load(tmp_path)
    assert table.ids == ("fam.test.1", "fam.test.2")
    assert table.prompts == ("Q one?", "Q two?")
    assert table.models == ("a/model", "b-model")
    assert table.scores.tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert table.costs.tolist() == [[0.001, 1e-5], [0.002, 2e-5]]
    assert table.report["rows_dropped"] == {"without a score": 1, "without a cost": 0}


def test_the_old_pickles_are_there():
    assert len(OLD_PICKLES) == 3


def test_a_call_of_the_system_is_refused_by_name_and_not_run(tmp_path):
    trace = tmp_path / "trace"
    path = put(tmp_path, Payload(trace))
    with pytest.raises(UnsafePickleError, match=rf"{path.name}.*{os.system.__module__}.system"):
        load_frame(path)
    assert not trace.exists()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_payload_inside_a_frame_is_refused_and_not_run(tmp_path, protocol):
    trace = tmp_path / "trace"
    poisoned = frame("object")
    poisoned.loc[1, "prompt"] = Payload(trace)
    with pytest.raises(UnsafePickleError, match="not on the allow-list"):
        load_frame(put(tmp_path, poisoned, protocol))
    assert not trace.exists()


@pytest.mark.parametrize(
    "pair",
    [
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("numpy", "load"),
        ("numpy", "ndarray.tofile"),  # a method reached through an allowed class
        ("pandas", "read_pickle"),
        ("pandas.core.frame", "DataFrame.to_pickle"),
        ("pandas", "io.common.os.system"),
        ("pickle", "loads"),
    ],
)
def test_neighbours_of_allowed_names_are_refused(tmp_path, pair):
    path = tmp_path / "neighbour.pkl"
    texts = b"".join(b"\x8c" + bytes([len(text)]) + text.encode() for text in pair)
    path.write_bytes(b"\x80\x04" + texts + b"\x93.")  # STACK_GLOBAL of the two texts, STOP
    with pytest.raises(UnsafePickleError, match=rf"asks for {pair[0]}.{pair[1]}, which"):
        load_frame(path)


def test_the_list_holds_pairs_and_nothing_that_runs_text_or_files():
    assert all(isinstance(pair, tuple) and len(pair) == 2 for pair in ALLOWED)
    assert {module.split(".")[0] for module, _ in ALLOWED} == {
        "builtins",
        "numpy",
        "pandas",
        "pyarrow",
    }
    assert {name for module, name in ALLOWED if module == "builtins"} == {"bytearray", "slice"}


@pytest.mark.parametrize("value", [{"a": 1}, [1, 2], np.arange(3), frame()["prompt"].to_list()])
def test_a_pickle_of_something_else_is_refused(tmp_path, value):
    with pytest.raises(ValueError, match=r"holds a .*; expected a pandas DataFrame"):
        load_frame(put(tmp_path, value))


def test_a_frame_that_is_not_routerbench_is_refused(tmp_path):
    put(tmp_path, pd.DataFrame({"x": [1.0]}))
    with pytest.raises(ValueError, match=f"{routerbench.PICKLE}: no column 'sample_id'"):
        routerbench.load(tmp_path)


def test_a_truncated_pickle_is_named(tmp_path):
    path = put(tmp_path, frame("object"))
    content = path.read_bytes()
    for size in (0, 1, 40, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(ValueError, match=f"{path.name}: not a readable pickle"):
            load_frame(path)


def test_crafted_arrow_offsets_are_refused(tmp_path):
    pa = pytest.importorskip("pyarrow")
    offsets = np.array([0, 4000, 1], dtype=np.int32)
    crafted = pa.StringArray.from_buffers(2, pa.py_buffer(offsets.tobytes()), pa.py_buffer(b"ab"))
    path = put(tmp_path, crafted)
    with pytest.raises(ValueError, match="not a readable pickle"):
        load_frame(path)


class Made:
    """Pickled, it is a call, and the state that its result is then given."""

    def __init__(self, *reduced):
        self.reduced = reduced

    def __reduce__(self):
        return self.reduced


RECONSTRUCT = np.zeros(1).__reduce__()[0]
OBJECTS = np.dtype(object)
RECORDS = np.dtype([("a", object)])


@pytest.mark.parametrize(
    "crafted",
    [
        Made(RECONSTRUCT, (np.ndarray, (0,), b"b"), (1, (146, 3), OBJECTS, False, ["a"])),
        Made(RECONSTRUCT, (np.ndarray, (0,), b"b"), (1, (2,), RECORDS, False, ["a", "b"])),
        Made(np.ndarray, ((2,), OBJECTS)),
        Made(RECONSTRUCT, (pd.DataFrame, (0,), b"b")),
    ],
)
def test_arrays_that_would_read_beyond_their_memory_are_refused(tmp_path, crafted):
    """NumPy does not count the objects that a pickle fills an array with, and crashes later."""
    with pytest.raises(ValueError, match=r"not a readable pickle \(found . objects|refused"):
        load_frame(put(tmp_path, crafted))
