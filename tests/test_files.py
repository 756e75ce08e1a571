import hashlib
import stat

import pytest

from cqb.files import atomic_writer, sha256_file, write_bytes, write_text


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


def test_sha256_of_a_file_is_that_of_its_content(tmp_path):
    content = b"0123456789" * 300_000  # several blocks
    (tmp_path / "file").write_bytes(content)
    assert sha256_file(tmp_path / "file") == hashlib.sha256(content).hexdigest()
