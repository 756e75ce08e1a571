"""Build the static site: the executed notebooks as pages that need neither a network nor a script.

``python notebooks/build_site.py [FOLDER]``

The pages are made from the committed notebooks and the README, into ``site`` by default. Formulas become
MathML, which browsers draw themselves.
"""

import json
import os
import re
import shutil
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import nbformat
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments.formatters import HtmlFormatter

from cqb import paths
from execute import without_widgets

FRONT = "index.html"
COPIES = "linked"  # the folder of files that are no pages; nbconvert strips "files/" from links
STYLE = Path(__file__).with_name("site.css")
SAVED = re.compile(r'\bsave\(\w+, "(\w+)"')
LONG = 30  # characters of a formula in a line that may be wider than a phone, and scrolls then
HEADLINE = "Claims"  # the last section of the README that the front page shows
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="style.css">
</head>
<body>
<nav>{links}</nav>
<main>
{body}
</main>
<nav>{links}</nav>
</body>
</html>
"""


class SiteError(RuntimeError):
    """The site cannot be built from what is here."""


class Renderer(IPythonRenderer):
    """Markdown of one source folder as HTML of the site.

    Links to notebooks and Markdown files lead to their pages. Other linked files are copied.
    """

    def __init__(self, folder: Path, site: Path) -> None:
        super().__init__(escape=False, anchor_link_text="#")
        self._folder, self._site = folder, site

    def inline_math(self, body: str) -> str:
        formula = convert(body)
        return f'<span class="formula">{formula}</span>' if len(body) > LONG else formula

    def block_math(self, body: str) -> str:
        return f'<div class="formula">{convert(body, display="block")}</div>'

    def link(self, text: str, url: str, title: str | None = None) -> str:
        return super().link(text, self._target(url), title)

    def image(self, text: str, url: str, title: str | None = None) -> str:
        return super().image(text, self._target(url), title)

    def _target(self, url: str) -> str:
        """Where a link of the source leads to on the site."""
        if re.match(r"[a-z]+:|#", url):
            return url
        path, _, place = url.partition("#")
        source = Path(os.path.normpath(self._folder / unquote(path)))
        if not source.is_file():
            raise SiteError(f"{self._folder.name}: found a link to {url}, expected a file there")
        relative = source.relative_to(paths.root())
        if source.suffix in {".ipynb", ".md"}:
            return page_name(relative) + (f"#{place}" if place else "")
        copy = self._site / COPIES / relative
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
        return f"{COPIES}/{relative.as_posix()}"


class Exporter(HTMLExporter):
    """Notebooks by nbconvert's basic template, their Markdown by :class:`Renderer`."""

    template_name = "basic"

    def __init__(self, renderer: Renderer, **kwargs: Any) -> None:
        self._renderer = renderer
        super().__init__(**kwargs)

    def markdown2html(self, source: str) -> str:
        """HTML of one Markdown cell."""
        return MarkdownWithMath(renderer=self._renderer).render(source)


def page_name(relative: Path) -> str:
    """The file name of the page of a notebook or a Markdown file, by its path in the repository."""
    if relative.suffix == ".ipynb":
        return f"{relative.stem}.html"
    folder = "-".join(relative.parent.parts)
    return f"{folder}.html" if folder else FRONT


def build(site: Path) -> list[Path]:
    """Write the whole site into `site`, in place of what was there; returns its pages.

    Raises
    ------
    SiteError
        `site` holds files that are not a site, or a link of a notebook or of the README leads nowhere.
    """
    if site.exists() and any(site.iterdir()) and not (site / FRONT).is_file():
        raise SiteError(f"{site}: found other files, expected an empty folder or an older site")
    shutil.rmtree(site, ignore_errors=True)
    site.mkdir(parents=True)
    colours = HtmlFormatter().get_style_defs(".highlight")
    (site / "style.css").write_text(STYLE.read_text("utf-8") + colours, "utf-8")
    notebooks = sorted((paths.root() / "notebooks").glob("*.ipynb"))
    titles = {path: first_heading(path) for path in notebooks}
    pages = [_write(site / FRONT, "cqb", front(site, titles), neighbours(FRONT, titles))]
    data = paths.root() / "data"
    text = (data / "README.md").read_text("utf-8")
    pages.append(_write(site / "data.html", "Data", markdown(text, data, site), [("Home", FRONT)]))
    for path in notebooks:
        name = page_name(path.relative_to(paths.root()))
        links = neighbours(name, titles)
        pages.append(_write(site / name, titles[path], notebook_body(path, site), links))
    return pages


def _write(page: Path, title: str, body: str, links: Sequence[tuple[str, str]]) -> Path:
    bar = "".join(f'<a href="{where}">{escape(text)}</a>' for text, where in links)
    page.write_text(PAGE.format(title=escape(title), links=bar, body=body), "utf-8")
    return page


def neighbours(name: str, titles: dict[Path, str]) -> list[tuple[str, str]]:
    """The links of a page's bar: home, and the previous and next notebook, as (text, page)."""
    order = [FRONT, *(f"{path.stem}.html" for path in titles)]
    place = order.index(name)
    links = [] if place == 0 else [("Home", FRONT)]
    if place > 1:
        links.append((f"← {Path(order[place - 1]).stem}", order[place - 1]))
    if place + 1 < len(order):
        links.append((f"{Path(order[place + 1]).stem} →", order[place + 1]))
    return links


def first_heading(path: Path) -> str:
    """The title of a notebook, from its first cell."""
    first = "".join(json.loads(path.read_text("utf-8"))["cells"][0]["source"])
    return first.splitlines()[0].removeprefix("# ")


def notebook_body(path: Path, site: Path) -> str:
    """The cells of an executed notebook as HTML; a figure's alternative text is its name."""
    notebook = nbformat.from_dict(without_widgets(nbformat.read(path, as_version=4)))
    for cell in notebook.cells:
        names = SAVED.findall(cell.source) if cell.cell_type == "code" else []
        drawn = [o for o in cell.get("outputs", []) if "image/png" in o.get("data", {})]
        for output, name in zip(drawn, names, strict=False):
            output.metadata["image/png"] = {"alt": f"Figure {name}"}
    body, _ = Exporter(Renderer(path.parent, site)).from_notebook_node(notebook)
    return body


def markdown(text: str, folder: Path, site: Path) -> str:
    """Markdown of a file in `folder` as HTML."""
    return MarkdownWithMath(renderer=Renderer(folder, site)).render(text)


def front(site: Path, titles: dict[Path, str]) -> str:
    """The front page: the README down to its claims, and what each notebook shows."""
    readme = (paths.root() / "README.md").read_text("utf-8")
    head, mark, rest = readme.partition(f"\n## {HEADLINE}\n")
    if not mark:
        raise SiteError(f"README.md: found no section {HEADLINE!r}, expected one")
    rows = [f"- [{escape(text)}](notebooks/{path.name})" for path, text in titles.items()]
    contents = "\n## Notebooks\n\n" + "\n".join([*rows, "- [The data](data/README.md)"])
    shown = head + mark + rest.partition("\n## ")[0] + contents
    return markdown(shown, paths.root(), site)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    site = Path(given[0]) if given else paths.root() / "site"
    try:
        pages = build(site)
    except (SiteError, OSError) as error:
        print(f"site: {error}", file=sys.stderr)
        return 1
    print(f"{len(pages)} pages; open {site / FRONT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
