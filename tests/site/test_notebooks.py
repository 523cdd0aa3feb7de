"""The notebooks that readers take away: plain, in one language, with the numbers of the page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from attnbook.addresses import Addresses
from attnbook.contents import Contents
from attnbook.export import leftovers

ROOT = Path(__file__).parents[2]
STEMS = [Path(name).name for name in Contents.load(ROOT).notebooks]
HAN = re.compile(r"[\u4e00-\u9fff]")

pytestmark = [
    pytest.mark.browser,  # they need the built site
    pytest.mark.parametrize("edition", ["en", "zh"]),
    pytest.mark.parametrize("stem", STEMS),
]


@pytest.fixture
def notebook(site, stem, edition):
    return json.loads((site / edition / "notebooks" / f"{stem}.ipynb").read_text("utf8"))


def prose(notebook):
    cells = notebook["cells"][1:]  # the first names the book, and the other language
    return [cell["source"] for cell in cells if cell["cell_type"] == "markdown"]


def test_nothing_is_left_of_the_sites_own_markdown(notebook, stem, edition):
    assert leftovers(notebook) == []


def test_it_is_in_one_language(notebook, stem, edition):
    text = "\n".join(prose(notebook))
    assert len(HAN.findall(text)) > 1000 if edition == "zh" else not HAN.search(text)


def test_numbers_are_those_of_the_page(notebook, site, stem, edition):
    page = (site / edition / "notebooks" / f"{stem}.html").read_text("utf8")
    text = "\n".join(prose(notebook))
    assert re.findall(r"\\tag\{([\d.]+)\}", text) == re.findall(r'class="eqno">\(([\d.]+)\)', page)
    figures = re.findall(r'class="caption-number">\s*(\S+ [\d.]+)', page)
    assert re.findall(r"^\*([^*\s]+ [\d.]+)\*", text, re.MULTILINE) == figures
    assert figures


def test_outputs_are_those_of_the_executed_source(notebook, stem, edition):
    pair = json.loads((ROOT / "notebooks" / f"{stem}.ipynb").read_text("utf8"))
    mine, theirs = (
        [cell for cell in book["cells"] if cell["cell_type"] == "code"] for book in (notebook, pair)
    )
    assert [cell["execution_count"] for cell in mine] == [c["execution_count"] for c in theirs]
    assert [cell["source"] for cell in mine[1:]] == [cell["source"] for cell in theirs[1:]]
    kinds = [
        [[output["output_type"] for output in cell["outputs"]] for cell in cells]
        for cells in (mine, theirs)
    ]
    assert kinds[0] == kinds[1]


def test_the_wheel_that_it_installs_lies_on_the_site(notebook, site, stem, edition):
    install = next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")["source"]
    addresses = Addresses.load(ROOT)
    (url,) = re.findall(r"https?://\S+\.whl", install)
    assert url == addresses.wheel
    assert (site / url.removeprefix(f"{addresses.site}/")).is_file()


def test_links_into_the_book_lead_to_its_pages(notebook, site, stem, edition):
    own = f"{Addresses.load(ROOT).site}/"
    links = re.findall(r"\]\((\S+?)\)", "\n".join(cell["source"] for cell in notebook["cells"]))
    for url in [link for link in links if link.startswith(own)]:
        parts = urlsplit(url)
        target = site / parts._replace(fragment="").geturl().removeprefix(own)
        assert target.is_file(), url
        assert not parts.fragment or f'id="{parts.fragment}"' in target.read_text("utf8"), url
