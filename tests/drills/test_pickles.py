"""Fuzzed pickles: nothing that their bytes say runs. Each batch has a process of its own."""

import json
import subprocess
import sys

import pytest

BATCHES, EACH = 10, 100
SCRIPT = r"""
import json, os, pickle, random, resource, sys, tempfile
from pathlib import Path
import pandas as pd
import pyarrow
from cqb.datasets.safe_pickle import AllowListUnpickler, UnsafePickleError, load_frame

fixtures, batch, each = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
rng = random.Random(batch)
scratch = Path(tempfile.mkdtemp())
mark, path = scratch / "ran", scratch / "table.pkl"

class Payload:
    def __reduce__(self):
        return rng.choice([(os.system, (f"touch {mark}",)), (exec, (f"open({str(mark)!r}, 'w')",)),
            (os.mkdir, (str(mark),)), (eval, (f"open({str(mark)!r}, 'w')",))])

def poisoned():
    table = pd.DataFrame({"prompt": pd.Series(["a", "b"], dtype=object), "m": [1.0, 0.0]})
    table.loc[rng.randrange(2), "prompt"] = Payload()
    return pickle.dumps(rng.choice([table, [table, Payload()], Payload()]), rng.randint(0, 5))

CALL = b"cos\nsystem\n(X" + len(f"touch {mark}").to_bytes(4, "little") + f"touch {mark}".encode() + b"tR"
whole = [p.read_bytes() for p in sorted(fixtures.glob("*.pkl"))]

def fuzzed():
    content = bytearray(rng.choice(whole) if rng.random() < 0.6 else poisoned())
    for _ in range(rng.randint(0, 4)):
        place = rng.randrange(len(content))
        kind = rng.randrange(4)
        if kind == 0:
            content[place] = rng.randrange(256)
        elif kind == 1:
            del content[place : place + rng.randint(1, 8)]
        elif kind == 2:
            content[place:place] = CALL
        else:
            names = [b"posix\nsystem", b"builtins\nexec", b"pandas\nread_pickle", b"numpy\nload"]
            content[place:place] = b"c" + rng.choice(names) + b"\n"
    return bytes(content)

running = []
ran = []
FORBIDDEN = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "os.mkdir",
             "os.remove", "socket.connect", "shutil.", "ctypes.dlopen", "code.__new__", "os.rename")
def hear(event, arguments):
    if running and (event.startswith(FORBIDDEN) or event == "open" and "w" in str(arguments[1])):
        ran.append(event)
sys.addaudithook(hear)
for old in sorted(fixtures.glob("*.pkl")):
    load_frame(old)  # imports what a pickle may name
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
ends = {}
for _ in range(each):
    path.write_bytes(fuzzed())
    running.append(1)
    try:
        load_frame(path)
        end = "frames"
    except UnsafePickleError as error:
        end = "refused by name"
        assert str(path) in str(error)
    except ValueError as error:
        end = "named errors"
        assert str(path) in str(error)
    finally:
        running.clear()
    ends[end] = ends.get(end, 0) + 1
print(json.dumps([ends, ran, mark.exists()]))
"""


@pytest.mark.parametrize("batch", range(BATCHES))
def test_a_batch_of_fuzzed_pickles(batch, pytestconfig, record_property):
    fixtures = pytestconfig.rootpath / "tests" / "fixtures"
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, str(fixtures), str(batch), str(EACH)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    ends, ran, marked = json.loads(done.stdout.splitlines()[-1])
    assert (ran, marked) == ([], False)
    assert sum(ends.values()) == EACH
    for end, count in ends.items():
        for _ in range(count):
            record_property("outcome", end)
