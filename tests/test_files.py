import errno
import hashlib
import os
import stat
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cqb.files import (
    atomic_writer,
    content_hash,
    read_arrays,
    sha256_file,
    write_arrays,
    write_bytes,
    write_text,
)
from tiny import full_disk

ARRAYS = {
    "scores": np.arange(12.0).reshape(4, 3),
    "codes": np.array([[1, -2]], dtype=np.int8),
    "text": np.frombuffer(b'{"name": "test"}', dtype=np.uint8),
}


def test_folders_are_made_and_content_is_kept_as_it_is(tmp_path):
    path = tmp_path / "a" / "b" / "note.txt"
    write_text(path, "Grüße\r\n")
    assert path.read_bytes() == "Grüße\r\n".encode()
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


def test_files_are_as_readable_as_any_other(tmp_path):
    (tmp_path / "plain").write_text("")
    write_text(tmp_path / "ours", "")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "ours")]
    assert modes[0] == modes[1]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_in_the_middle_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "result.csv"
    path.write_text("old")

    def write_half():
        with atomic_writer(path) as handle:
            handle.write(b"half of the n")
            raise error

    with pytest.raises(error):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_unwritable_folder_is_named(tmp_path):
    (tmp_path / "blocked").write_text("a file where a folder should be")
    with pytest.raises(OSError, match=r"cannot write x.txt: the folder .*blocked is not writable"):
        write_text(tmp_path / "blocked" / "x.txt", "")


def test_a_full_disk_is_an_error_that_names_the_file_and_changes_nothing(tmp_path):
    path = tmp_path / "result.csv"
    path.write_text("old")
    with full_disk(), pytest.raises(OSError, match=r"File too large: '.*result\.csv'") as caught:
        write_bytes(path, bytes(100_000))
    assert caught.value.errno == errno.EFBIG
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_left_is_removed_an_hour_later(tmp_path):
    path = tmp_path / "result[1].csv"
    old, new = (tmp_path / f".{path.name}.{age}.part" for age in ("old", "new"))
    foreign = tmp_path / ".result1.csv.old.part"
    for left in (old, new, foreign):
        left.write_text("half of")
    for left in (old, foreign):
        os.utime(left, (time.time() - 3700,) * 2)
    write_text(path, "whole")
    assert sorted(tmp_path.iterdir()) == sorted([path, new, foreign])


def test_sha256_of_a_file_is_that_of_its_content(tmp_path):
    content = b"0123456789" * 300_000  # several blocks
    (tmp_path / "file").write_bytes(content)
    assert sha256_file(tmp_path / "file") == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("compress", [True, False])
def test_arrays_come_back_as_they_were_written(tmp_path, compress):
    path = tmp_path / "deep" / "arrays.npz"
    write_arrays(path, ARRAYS, compress)
    again = read_arrays(path)
    assert again.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert again[name].dtype == array.dtype
        assert np.array_equal(again[name], array)
    assert [entry.name for entry in path.parent.iterdir()] == ["arrays.npz"]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_damaged_file_of_arrays_is_named_or_harmless(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damage") / "arrays.npz"
    write_arrays(path, ARRAYS)
    content = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    try:
        outcome = content_hash(read_arrays(path))
    except ValueError as error:
        outcome = str(error)
    # Where the bit was one of zip's own remarks, such as a date, the arrays are still whole.
    assert outcome == content_hash(ARRAYS) or str(path) in outcome


@pytest.mark.parametrize("method", [12, 14])
def test_content_that_claims_another_compression_is_damage(tmp_path, method):
    """bzip2 (12) and LZMA (14) fail on foreign bytes in ways of their own, the first as OSError."""
    path = tmp_path / "arrays.npz"
    write_arrays(path, ARRAYS)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 10] = method
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"arrays\.npz: not a readable \.npz file"):
        read_arrays(path)


def test_other_files_are_not_taken_for_arrays_of_ours(tmp_path):
    for name, content in {"text.npz": b"no archive", "empty.npz": b""}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name}: not a readable .npz"):
            read_arrays(tmp_path / name)
    np.savez(tmp_path / "plain.npz", scores=np.zeros(3))
    with pytest.raises(ValueError, match=r"plain.npz: no sha256"):
        read_arrays(tmp_path / "plain.npz")
    with pytest.raises(FileNotFoundError):
        read_arrays(tmp_path / "absent.npz")
