import functools
import hashlib
import http.server
import io
import re
import threading
import tomllib
import urllib.error

import pytest

from cqb.datasets import download, pins
from cqb.datasets.download import DownloadError, fetch
from cqb.datasets.pins import ENTRIES, Entry, RemoteFile

CONTENT = bytes(range(256)) * 9000  # more than two chunks
REVISION = "0123456789abcdef0123456789abcdef01234567"


def remote(path="deep/table.pkl", content=CONTENT, **changes):
    fields = {
        "path": path,
        "sha256": hashlib.sha256(content).hexdigest(),
        "size": len(content),
    }
    return RemoteFile(**(fields | changes))


@pytest.fixture
def entry(monkeypatch, tmp_path):
    """Puts an entry called "set" in place of the real ones, and the data folder in `tmp_path`."""
    monkeypatch.setenv("CQB_DATA", str(tmp_path / "data"))

    def put(*files, revision=REVISION, **changes):
        made = Entry("datasets/someone/set", revision, files or (remote(),), **changes)
        monkeypatch.setattr(download, "ENTRIES", {"set": made})
        return made

    return put


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A host on this machine that serves `tmp_path/host`, and the list of what it was asked for."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, form, *values):
            asked.append(values[0])

    folder = tmp_path / "host" / "datasets" / "someone" / "set" / "resolve" / REVISION
    folder.mkdir(parents=True)
    handler = functools.partial(Handler, directory=tmp_path / "host")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as host:
        thread = threading.Thread(target=host.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setattr(pins, "HOST", f"http://127.0.0.1:{host.server_port}")
        yield folder, asked
        host.shutdown()
        thread.join()


def files_below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def opener(content):
    return lambda url: io.BytesIO(content)


def test_a_file_is_fetched_verified_and_not_fetched_again(entry, server, tmp_path, capsys):
    folder, asked = server
    entry()
    (folder / "deep").mkdir()
    (folder / "deep" / "table.pkl").write_bytes(CONTENT)
    (target,) = fetch("set")
    assert target == tmp_path / "data" / "raw" / "set" / "deep" / "table.pkl"
    assert target.read_bytes() == CONTENT
    assert asked == [f"GET /datasets/someone/set/resolve/{REVISION}/deep/table.pkl HTTP/1.1"]
    fetch("set")
    assert len(asked) == 1
    assert "already there, verified" in capsys.readouterr().out


def test_several_files_come_together(entry, server, tmp_path):
    folder, _ = server
    contents = {"a.bin": b"one", "b.bin": b"two"}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    entry(*(remote(name, content) for name, content in contents.items()))
    assert [path.read_bytes() for path in fetch("set", tmp_path / "mine")] == [b"one", b"two"]


def test_a_damaged_file_is_replaced(entry, tmp_path, capsys):
    entry()
    target = tmp_path / "mine" / "deep" / "table.pkl"
    target.parent.mkdir(parents=True)
    target.write_bytes(CONTENT[:-1] + b"?")
    fetch("set", tmp_path / "mine", opener(CONTENT))
    assert target.read_bytes() == CONTENT
    assert "its sha256 is" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arrived", "message"),
    [
        (CONTENT[:-1], f"{len(CONTENT) - 1} bytes arrived where {len(CONTENT)} are expected"),
        (b"", f"0 bytes arrived where {len(CONTENT)} are expected"),
        (CONTENT + b"more", f"at least {len(CONTENT) + 4} bytes arrived"),
        (CONTENT[:-1] + b"?", "the sha256 of what arrived is .* nothing was stored"),
    ],
)
def test_a_wrong_download_leaves_nothing(entry, tmp_path, arrived, message):
    entry()
    with pytest.raises(DownloadError, match=message):
        fetch("set", tmp_path / "mine", opener(arrived))
    assert files_below(tmp_path) == []


def test_a_wrong_download_leaves_what_was_there(entry, tmp_path):
    entry(remote("table.pkl"))
    target = tmp_path / "table.pkl"
    target.write_bytes(b"older")
    with pytest.raises(DownloadError):
        fetch("set", tmp_path, opener(CONTENT[:100]))
    assert files_below(tmp_path) == ["table.pkl"]
    assert target.read_bytes() == b"older"


class Dies(io.BytesIO):
    def read(self, size):
        if self.tell() > 0:
            raise self.error
        return super().read(size)


@pytest.mark.parametrize(
    "error",
    [ConnectionResetError("reset"), http.client.IncompleteRead(b""), TimeoutError("timed out")],
)
def test_a_connection_that_breaks_leaves_nothing(entry, tmp_path, error):
    entry()
    source = Dies(CONTENT)
    source.error = error
    with pytest.raises(DownloadError, match=r"could not fetch .*/set/resolve/"):
        fetch("set", tmp_path / "mine", lambda url: source)
    assert files_below(tmp_path) == []


def test_an_interrupt_leaves_nothing(entry, tmp_path):
    entry()
    source = Dies(CONTENT)
    source.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        fetch("set", tmp_path / "mine", lambda url: source)
    assert files_below(tmp_path) == []


def test_without_a_network_it_says_what_is_missing_and_what_to_do(entry, tmp_path):
    made = entry()

    def unreachable(url):
        raise urllib.error.URLError("no route to host")

    with pytest.raises(DownloadError) as caught:
        fetch("set", opener=unreachable)
    message = str(caught.value)
    assert made.url(made.files[0]) in message
    assert "no route to host" in message
    assert str(tmp_path / "data" / "raw" / "set" / "deep" / "table.pkl") in message
    assert "put the file at that path" in message


def test_an_answer_of_not_found_is_reported(entry, server):
    entry()
    with pytest.raises(DownloadError, match="404"):
        fetch("set")


def test_a_folder_that_cannot_be_written_is_named(entry, tmp_path):
    entry()
    (tmp_path / "blocked").write_text("a file")
    with pytest.raises(OSError, match=r"cannot write table.pkl: the folder .*blocked"):
        fetch("set", tmp_path / "blocked", opener(CONTENT))


@pytest.mark.parametrize(
    "entry_changes",
    [
        {"revision": None},
        {"files": (remote(sha256=None),)},
        {"files": (remote(size=None),)},
    ],
)
def test_an_unpinned_entry_is_refused_and_says_how_to_pin(entry, tmp_path, entry_changes):
    files = entry_changes.pop("files", ())
    entry(*files, **entry_changes)
    with pytest.raises(DownloadError) as caught:
        fetch("set", tmp_path, opener(CONTENT))
    for words in ("nobody has pinned", "datasets/someone/set", "--pin FILE", "deep/table.pkl"):
        assert words in str(caught.value)
    assert files_below(tmp_path) == []


def test_the_pin_command_prints_a_line_that_pins(tmp_path, capsys):
    path = tmp_path / "table.pkl"
    path.write_bytes(CONTENT)
    assert download.main(["--pin", str(path)]) == 0
    (fields,) = tomllib.loads(f"files = [{capsys.readouterr().out}]")["files"]
    pinned = RemoteFile(**fields)
    assert pinned == remote("table.pkl")
    assert download.difference(path, pinned) is None


def test_the_command_line_fetches_the_data_sets_by_default(entry, monkeypatch, capsys):
    entry()
    monkeypatch.setattr(download, "_open", opener(CONTENT))
    assert download.main([]) == 0
    assert "fetched, verified" in capsys.readouterr().out
    entry(by_default=False)
    assert download.main([]) == 0
    assert capsys.readouterr().out == ""


def test_the_command_line_reports_errors_with_a_status(entry, capsys, tmp_path):
    entry(revision=None)
    assert download.main(["set"]) == 1
    assert "error: set: nobody has pinned" in capsys.readouterr().err
    assert download.main(["unknown"]) == 1
    assert "no entry 'unknown'; expected one of set" in capsys.readouterr().err
    assert download.main(["--pin", str(tmp_path / "absent")]) == 1
    assert "absent" in capsys.readouterr().err


def test_unpinned_sets_do_not_stop_the_others(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("CQB_DATA", str(tmp_path))
    entries = {
        "first": Entry("datasets/someone/first", None, (remote(sha256=None, size=None),)),
        "second": Entry("datasets/someone/second", REVISION, (remote("table.pkl"),)),
    }
    monkeypatch.setattr(download, "ENTRIES", entries)
    monkeypatch.setattr(download, "_open", opener(CONTENT))
    assert download.main([]) == 0
    out, err = capsys.readouterr()
    assert files_below(tmp_path) == ["raw/second/table.pkl"]
    assert "fetched, verified" in out
    assert "left out: first: nobody has pinned" in err
    assert "choose a commit of" in err
    assert download.main(["first"]) == 1  # asked for by name, it is refused


def test_a_known_revision_is_told_to_whoever_pins(entry):
    entry(remote(sha256=None))
    with pytest.raises(DownloadError, match=f"take commit {REVISION} of"):
        fetch("set")


@pytest.mark.parametrize("name", ENTRIES)
def test_the_entries_are_pinned_in_form(name):
    made = ENTRIES[name]
    assert made.pinned or name in ("sprout", "embedllm", "azure-llm-2023")
    assert re.fullmatch("[0-9a-f]{40}", made.revision or "0" * 40)
    for file in made.files:
        assert made.pinned == bool(file.sha256)
        assert re.fullmatch("[0-9a-f]{64}", file.sha256 or "0" * 64)
        host = "https://huggingface.co/"
        if made.github:
            host = made.github
            assert re.fullmatch(r"https://(media|raw)\.githubusercontent\.com(/media)?", host)
            assert made.page.startswith("https://github.com/")
        assert made.url(file).startswith(host)
        assert made.url(file).endswith(f"/{made.revision}/{file.path}")
