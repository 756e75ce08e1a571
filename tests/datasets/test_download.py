import functools
import hashlib
import http.server
import re
import threading
import tomllib

import pytest

from cqb.datasets import download
from cqb.datasets.download import ENTRIES, DownloadError, Entry, fetch

CONTENT = bytes(range(256)) * 9000  # more than one piece of a download
REVISION = "0123456789abcdef0123456789abcdef01234567"


def pinned(path="deep/table.pkl", content=CONTENT):
    return {path: hashlib.sha256(content).hexdigest()}


UNPINNED = {"deep/table.pkl": ""}


@pytest.fixture
def entry(monkeypatch, tmp_path):
    """Puts an entry called "set" in place of the real ones, and the data folder in `tmp_path`."""
    monkeypatch.setenv("CQB_DATA", str(tmp_path / "data"))

    def put(files=None, revision=REVISION, **changes):
        made = Entry("datasets/someone/set", files or pinned(), revision, **changes)
        monkeypatch.setattr(download, "ENTRIES", {"set": made})
        return made

    return put


class Host(http.server.BaseHTTPRequestHandler):
    """Serves the files of a dictionary; one that is shorter than announced breaks the connection."""

    def __init__(self, files, asked, *arguments):
        self.files, self.asked = files, asked
        super().__init__(*arguments)

    def do_GET(self):
        self.asked.append(self.path)
        path = self.path.removeprefix(f"/datasets/someone/set/resolve/{REVISION}/")
        if path not in self.files:
            self.send_error(404)
            return
        content, announced = self.files[path]
        self.send_response(200)
        self.send_header("Content-Length", str(announced))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *values):
        pass


@pytest.fixture
def host(monkeypatch):
    """A host on this machine: what it serves (content and announced length), and what was asked."""
    files, asked = {}, []
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    handler = functools.partial(Host, files, asked)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setattr(download, "HOST", f"http://127.0.0.1:{server.server_port}")
        yield files, asked
        server.shutdown()
        thread.join()


def serve(host, path="deep/table.pkl", content=CONTENT, announced=None):
    host[0][path] = content, len(content) if announced is None else announced


def files_below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_file_is_fetched_verified_and_not_fetched_again(entry, host, tmp_path, capsys):
    entry()
    serve(host)
    (target,) = fetch("set")
    assert target == tmp_path / "data" / "raw" / "set" / "deep" / "table.pkl"
    assert target.read_bytes() == CONTENT
    fetch("set")
    assert host[1] == [f"/datasets/someone/set/resolve/{REVISION}/deep/table.pkl"]
    assert capsys.readouterr().out.count("there, verified") == 2


def test_several_files_come_together(entry, host, tmp_path):
    contents = {"a.bin": b"one", "b.bin": b"two"}
    for name, content in contents.items():
        serve(host, name, content)
    entry(pinned("a.bin", b"one") | pinned("b.bin", b"two"))
    assert [path.read_bytes() for path in fetch("set", tmp_path / "mine")] == [b"one", b"two"]


def test_a_damaged_file_is_replaced(entry, host, tmp_path):
    entry(pinned("table.pkl"))
    serve(host, "table.pkl")
    target = tmp_path / "table.pkl"
    target.write_bytes(CONTENT[:-1] + b"?")
    fetch("set", tmp_path)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("arrived", [CONTENT[:-1], b"", CONTENT + b"more", CONTENT[:-1] + b"?"])
@pytest.mark.parametrize("before", [[], ["table.pkl"]])
def test_a_wrong_download_leaves_what_was_there(entry, host, tmp_path, arrived, before):
    entry(pinned("table.pkl"))
    serve(host, "table.pkl", arrived)
    for name in before:
        (tmp_path / name).write_bytes(b"older")
    with pytest.raises(DownloadError, match=r"(?s)/resolve/.*does not match.*Nothing was stored"):
        fetch("set", tmp_path)
    assert files_below(tmp_path) == before
    assert all((tmp_path / name).read_bytes() == b"older" for name in before)


def test_a_connection_that_breaks_leaves_nothing(entry, host, tmp_path):
    entry()
    serve(host, announced=len(CONTENT) + 1)
    with pytest.raises(DownloadError, match=r"could not fetch .*/set/resolve/"):
        fetch("set", tmp_path / "mine")
    assert files_below(tmp_path) == []


def test_without_a_network_it_says_what_is_missing_and_what_to_do(entry, tmp_path, monkeypatch):
    made = entry()
    monkeypatch.setattr(download, "HOST", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(DownloadError) as caught:
        fetch("set")
    message = str(caught.value)
    assert made.url("deep/table.pkl") in message
    assert "refused" in message
    assert str(tmp_path / "data" / "raw" / "set" / "deep" / "table.pkl") in message
    assert "put the file at that path" in message


def test_an_answer_of_not_found_is_reported(entry, host):
    entry()
    with pytest.raises(DownloadError, match="404"):
        fetch("set")


def test_a_folder_that_cannot_be_written_is_named(entry, tmp_path):
    entry()
    (tmp_path / "blocked").write_text("a file")
    with pytest.raises(OSError, match=r"blocked"):
        fetch("set", tmp_path / "blocked")


@pytest.mark.parametrize("changes", [{"revision": ""}, {"files": UNPINNED}])
def test_an_unpinned_entry_is_refused_and_says_how_to_pin(entry, tmp_path, changes):
    entry(**changes)
    with pytest.raises(DownloadError) as caught:
        fetch("set", tmp_path)
    for words in ("nobody has pinned", "datasets/someone/set", "--pin FILE", "deep/table.pkl"):
        assert words in str(caught.value)
    assert files_below(tmp_path) == []


def test_the_pin_command_prints_a_line_that_pins(tmp_path, capsys):
    path = tmp_path / "table.pkl"
    path.write_bytes(CONTENT)
    assert download.main(["--pin", str(path)]) == 0
    assert tomllib.loads(capsys.readouterr().out) == pinned("table.pkl")


def test_the_command_line_fetches_the_data_sets_by_default(entry, host, capsys):
    entry()
    serve(host)
    assert download.main([]) == 0
    assert "there, verified" in capsys.readouterr().out
    entry(by_default=False)
    assert download.main([]) == 0
    assert capsys.readouterr().out == ""


def test_the_command_line_reports_errors_with_a_status(entry, capsys, tmp_path):
    entry(revision="")
    assert download.main(["set"]) == 1
    assert "error: set: nobody has pinned" in capsys.readouterr().err
    assert download.main(["unknown"]) == 1
    assert "no entry 'unknown'; expected one of set" in capsys.readouterr().err
    assert download.main(["--pin", str(tmp_path / "absent")]) == 1
    assert "absent" in capsys.readouterr().err


def test_unpinned_sets_do_not_stop_the_others(monkeypatch, host, tmp_path, capsys):
    monkeypatch.setenv("CQB_DATA", str(tmp_path))
    entries = {
        "first": Entry("datasets/someone/first", UNPINNED),
        "second": Entry("datasets/someone/set", pinned("table.pkl"), REVISION),
    }
    monkeypatch.setattr(download, "ENTRIES", entries)
    serve(host, "table.pkl")
    assert download.main([]) == 0
    out, err = capsys.readouterr()
    assert files_below(tmp_path) == ["raw/second/table.pkl"]
    assert "there, verified" in out
    assert "left out: first: nobody has pinned" in err
    assert "choose a commit of" in err
    assert download.main(["first"]) == 1  # asked for by name, it is refused


def test_a_known_revision_is_told_to_whoever_pins(entry):
    entry(UNPINNED)
    with pytest.raises(DownloadError, match=f"take commit {REVISION} of"):
        fetch("set")


@pytest.mark.parametrize("name", ENTRIES)
def test_the_entries_are_pinned_in_form(name):
    made = ENTRIES[name]
    assert made.pinned or name in ("sprout", "embedllm")
    assert re.fullmatch("[0-9a-f]{40}", made.revision or "0" * 40)
    for file, sha256 in made.files.items():
        assert made.pinned == bool(sha256)
        assert re.fullmatch("[0-9a-f]{64}", sha256 or "0" * 64)
        host = "https://huggingface.co/"
        if made.github:
            host = made.github
            assert re.fullmatch(r"https://(media|raw)\.githubusercontent\.com(/media)?", host)
            assert made.page.startswith("https://github.com/")
        assert made.url(file).startswith(host)
        assert made.url(file).endswith(f"/{made.revision}/{file}")
