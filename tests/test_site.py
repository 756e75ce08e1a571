"""The static site: what it says, and how it behaves in headless Chromium where there is one."""

import importlib.util
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from html import unescape
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen

import nbformat
import pytest

import execute

ROOT = Path(__file__).resolve().parents[1]
BUILDER = importlib.util.spec_from_file_location("build_site", ROOT / "notebooks" / "build_site.py")
builder = importlib.util.module_from_spec(BUILDER)
BUILDER.loader.exec_module(builder)
PHONE = {"width": 390, "height": 844, "pixelRatio": 1, "touch": False}
# Links and ids of the page as the browser sees them, and whether the page or a part hangs over.
LOOK = """return {
  links: [...document.querySelectorAll('a[href], img[src], link[href]')].map(e => e.href || e.src),
  ids: [...document.querySelectorAll('[id]')].map(e => e.id),
  blank: [...document.images].filter(e => !e.naturalWidth).map(e => e.alt),
  scripts: document.scripts.length,
  formulas: document.querySelectorAll('math').length,
  wide: document.documentElement.scrollWidth,
  shown: document.documentElement.clientWidth,
}"""


class Browser:
    """Headless Chromium by the WebDriver protocol of its own driver."""

    def __init__(self, server: str) -> None:
        options = {
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
            "mobileEmulation": {"deviceMetrics": PHONE},
        }
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self._at = f"{server}/session"
        session = self._ask("POST", "", {"capabilities": {"alwaysMatch": wanted}})
        self._at += f"/{session['sessionId']}"

    def visit(self, page: Path) -> dict[str, Any]:
        """What :data:`LOOK` says of a page, and the errors that it wrote to the console."""
        self._ask("POST", "/url", {"url": page.as_uri()})
        seen = self._ask("POST", "/execute/sync", {"script": LOOK, "args": []})
        written = self._ask("POST", "/se/log", {"type": "browser"})
        return seen | {"errors": [w["message"] for w in written if w["level"] == "SEVERE"]}

    def close(self) -> None:
        self._ask("DELETE", "")

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        kind = {"Content-Type": "application/json"}
        request = Request(self._at + path, data=data, headers=kind, method=method)
        with urlopen(request, timeout=120) as answer:
            return json.load(answer)["value"]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> list[Path]:
    return builder.build(tmp_path_factory.mktemp("built") / "site")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    driver = shutil.which("chromedriver")
    if not driver:
        pytest.skip("no Chromium here: install chromium and chromium-driver to check the site")
    process = subprocess.Popen([driver, "--port=0"], stdout=subprocess.PIPE, text=True)
    try:
        started = next(line for line in process.stdout if "started successfully on port" in line)
        opened = Browser(f"http://127.0.0.1:{started.split()[-1].rstrip('.')}")
        yield opened
        opened.close()
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


@pytest.mark.slow
def test_no_page_has_a_dead_link_an_error_a_script_or_sideways_scrolling(site, browser):
    seen = {page.resolve(): browser.visit(page) for page in site}
    wrong = []
    for page, found in seen.items():
        wrong += [f"{page.name}: {what}" for what in found["errors"] + found["blank"]]
        if found["wide"] > found["shown"] or found["shown"] != PHONE["width"]:
            wrong.append(f"{page.name}: {found['wide']} wide of {found['shown']} shown")
        wrong += [f"{page.name}: {link}" for link in found["links"] if dead(link, seen)]
    assert not wrong
    assert not any(found["scripts"] for found in seen.values())
    assert seen[site[0].with_name("01_theory_checks.html").resolve()]["formulas"] > 40


def dead(link: str, seen: dict[Path, dict[str, Any]]) -> bool:
    """Whether a link leads out of the site's files, or to a part of a page that is not there."""
    parts = urlsplit(link)
    if parts.scheme != "file":
        return parts.scheme not in {"https", "data"}
    target = Path(unquote(parts.path))
    if not target.is_file():
        return True
    return bool(parts.fragment) and unquote(parts.fragment) not in seen[target]["ids"]


def test_every_formula_becomes_mathml(site):
    """The converter hands on a command that it does not know, and nobody would see it."""
    assert not [p.name for p in site if re.search(r"<m\w+[^>]*>\\", p.read_text("utf-8"))]
    assert not [p.name for p in site if re.search(r"\$[^$\n]*\\\w+[^$\n]*\$", prose(p))]


def prose(page: Path) -> str:
    """A page without its code and outputs."""
    return re.sub(r"<pre.*?</pre>|<code.*?</code>", "", page.read_text("utf-8"), flags=re.DOTALL)


def test_pages_are_linked_in_the_order_of_the_notebooks(site):
    names = [page.name for page in site if page.name[0].isdigit()]
    assert names == sorted(f"{p.stem}.html" for p in (ROOT / "notebooks").glob("*.ipynb"))
    for before, after in pairwise(names):
        text = site[0].with_name(before).read_text("utf-8")
        assert f'<a href="{after}">{after.removesuffix(".html")} →</a>' in text
        assert f'<a href="{before}">← ' in site[0].with_name(after).read_text("utf-8")


def test_the_front_page_shows_the_headline_figure_the_commands_and_every_notebook(site):
    text = site[0].read_text("utf-8")
    assert "<pre><code>make reproduce\nmake test\n</code></pre>" in text
    assert 'src="linked/figures/' in text
    assert not [page.name for page in site[1:] if f'href="{page.name}"' not in text]


def test_the_front_page_shows_every_verdict_with_its_claim(site):
    text = site[0].read_text("utf-8")
    rows = re.findall(r"<tr>\s*<td[^>]*>(.*?)</td>(.*?)</tr>", text, re.DOTALL)
    shown = {unescape(claim): re.findall(r"<td[^>]*>(.*?)</td>", cells) for claim, cells in rows}
    claims = json.loads((ROOT / "figures" / "claims.json").read_text("utf-8"))
    assert len(claims) > 30
    for row in claims:
        assert row["verdict"] in shown[row["claim"]]


def test_a_widget_is_left_out(tmp_path):
    data = {execute.LIVE: {"model_id": "x"}, "text/plain": "VBox(children=())"}
    live, said = nbformat.v4.new_output("display_data", data), nbformat.v4.new_output("stream")
    said["text"] = "what a reader sees"
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell("sliders", outputs=[live, said])]
    nbformat.write(notebook, tmp_path / "live.ipynb")
    body = builder.notebook_body(tmp_path / "live.ipynb", tmp_path)
    assert "what a reader sees" in body
    assert "VBox" not in body


def test_a_folder_that_is_no_site_is_left_alone(tmp_path, capsys):
    (tmp_path / "letter.txt").write_text("mine", "utf-8")
    assert builder.main([str(tmp_path)]) == 1
    assert "found other files" in capsys.readouterr().err
    assert (tmp_path / "letter.txt").read_text("utf-8") == "mine"


def test_a_link_that_leads_nowhere_stops_the_build(tmp_path):
    with pytest.raises(builder.SiteError, match=r"a link to gone\.md"):
        builder.markdown("[x](gone.md)", ROOT / "data", tmp_path)
