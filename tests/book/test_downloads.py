"""The files to take along: links that exist only with them, sizes that are theirs."""

import re

import pikepdf
import pytest
from attnbook import downloads
from attnbook.addresses import Addresses
from attnbook.languages import EDITIONS, EN, ZH
from book.conftest import ROOT

PAGE = f"<p>before</p><div>{downloads.BEGIN}old{downloads.END}</div><p>after</p>"


@pytest.fixture
def files(tmp_path):
    """A PDF of three pages and an archive of 1.26 MB for each edition."""
    made = []
    for edition in EDITIONS:
        with pikepdf.new() as pdf:
            for _ in range(3):
                pdf.add_blank_page()
            pdf.save(tmp_path / downloads.pdf_name(edition))
        (tmp_path / downloads.archive_name(edition)).write_bytes(bytes(1_260_000))
        made += [tmp_path / downloads.pdf_name(edition), tmp_path / downloads.archive_name(edition)]
    return made


def test_without_the_files_there_is_no_link():
    for edition in EDITIONS:
        text = downloads.without(edition)
        assert "make downloads" in text
        assert "<a" not in text


def test_in_a_file_the_links_lead_to_the_published_site_of_the_fork():
    fork = {"ATTNBOOK_REPOSITORY": "https://github.com/Someone/copy"}
    for edition in EDITIONS:
        links = re.findall('href="([^"]+)"', downloads.away(edition, Addresses.load(ROOT, fork)))
        assert links == [
            f"https://someone.github.io/copy/downloads/visual-attention-{edition.code}.{ending}"
            for ending in ("pdf", "zip")
        ]


def test_offering_the_files_puts_links_with_sizes_into_the_pages(tmp_path, files):
    site = tmp_path / "site"
    for edition in EDITIONS:
        (site / edition.code / "book").mkdir(parents=True)
        (site / edition.code / "book" / "slow-line.html").write_text(PAGE, "utf8")
        (site / edition.code / "index.html").write_text("<p>no place</p>", "utf8")
    for _ in range(2):  # offering them again changes nothing
        downloads.offer(site, files)
        assert {path.name for path in (site / "downloads").iterdir()} == {f.name for f in files}
        for edition in EDITIONS:
            html = (site / edition.code / "book" / "slow-line.html").read_text("utf8")
            assert html.startswith("<p>before</p>")
            assert html.endswith("<p>after</p>")
            assert "old" not in html
            links = re.findall('href="([^"]+)"', html)
            assert len(links) == 4
            assert edition.code in links[0]  # the reader's own language first
            for link in links:
                assert (site / edition.code / "book" / link).resolve().is_file()
            assert html.count("1.3 MB") == 2
    assert (site / "en" / "index.html").read_text("utf8") == "<p>no place</p>"


def test_sizes_and_pages_are_told_in_the_language_of_the_page(files, tmp_path):
    assert "3 pages, A4, 0.0 MB" in downloads.here(EN, tmp_path, "../../")
    assert "（A4，3 页，0.0 MB）" in downloads.here(ZH, tmp_path, "../../")


def test_the_readmes_offer_the_files_of_the_published_book():
    addresses = Addresses.load(ROOT, environment={})
    for name in ("README.md", "README.zh.md"):
        text = (ROOT / name).read_text("utf8")
        for edition in EDITIONS:
            for file in (downloads.pdf_name(edition), downloads.archive_name(edition)):
                assert f"({addresses.download(file)})" in text, (name, file)
