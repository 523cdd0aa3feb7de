"""What the site offers to take along: never a dead link, and true sizes.

A site that was only built offers nothing and says how it is made. After `make downloads` its page
for slow lines links the files; `make downloads-check` (DOWNLOADS_ALL=1) insists that they exist.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pikepdf
import pytest
from attnbook import downloads
from attnbook.languages import EDITIONS
from bs4 import BeautifulSoup

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
WHOLE = bool(os.environ.get("DOWNLOADS_ALL"))
PAGE = "book/slow-line"


@pytest.mark.parametrize("edition", EDITIONS, ids=lambda edition: edition.code)
def test_links_only_where_there_are_files(site, edition):
    path = site / edition.code / f"{PAGE}.html"
    place = BeautifulSoup(path.read_text("utf8"), "html.parser").select_one("div.downloads")
    links = place.select("a")
    folder = site / downloads.FOLDER
    assert bool(links) == folder.exists()
    if WHOLE:
        assert links
    if not links:
        assert "make downloads" in place.get_text()
        return
    assert len(links) == 4
    for link in links:
        target = (path.parent / link["href"]).resolve()
        assert target.parent == folder
        assert target.is_file()
        stated = re.search(r"([\d.]+) MB", link.next_sibling)[1]
        assert float(stated) == pytest.approx(target.stat().st_size / 1e6, abs=0.06)
        if pages := re.search(r"(\d+) (?:pages|页)", link.next_sibling):
            with pikepdf.open(target) as pdf:
                assert len(pdf.pages) == int(pages[1])


@pytest.mark.parametrize("edition", EDITIONS, ids=lambda edition: edition.code)
def test_every_page_leads_to_the_downloads(site, pages, edition):
    for name in pages:
        path = site / edition.code / f"{name}.html"
        soup = BeautifulSoup(path.read_text("utf8"), "html.parser")
        links = [a["href"] for a in soup.select("footer.foot a") if "slow-book" in a["href"]]
        assert len(links) == 1, name


@pytest.mark.skipif(not WHOLE, reason="compares the files of make downloads-check")
@pytest.mark.parametrize("name", ["README.md", "README.zh.md"])
def test_the_sizes_in_the_readme_are_about_right(site, name):
    text = (ROOT / name).read_text("utf8")
    stated = re.findall(r"/downloads/([\w.-]+)\)\s?[(（]([\d.]+) MB", text)
    assert len(stated) == 4
    for file, size in stated:
        real = (site / downloads.FOLDER / file).stat().st_size / 1e6
        assert float(size) == pytest.approx(real, rel=0.25), file
