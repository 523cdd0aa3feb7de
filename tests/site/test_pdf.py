"""The book on paper, both editions: what a reader of the PDF relies on.

`make test` prints the opening page, one chapter and one page without code of each edition;
`make downloads-check` (DOWNLOADS_ALL=1) looks at the whole PDFs in ``_build/pdf`` instead.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pikepdf
import pypdfium2
import pytest
from attnbook.downloads import pdf_name
from attnbook.languages import EDITIONS, Edition
from attnbook.paper import contents
from attnbook.paper.printing import print_edition
from bs4 import BeautifulSoup

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
WHOLE = bool(os.environ.get("DOWNLOADS_ALL"))
SAMPLE = () if WHOLE else ("index", "notebooks/se", "book/slow-line")
POINTS = 72 / 96  # of a pixel
LEFT, TOP, WIDTH, HEIGHT = 76.4, 76.5, 590 * POINTS, 932 * POINTS  # of the text, in points


def squeezed(text: str) -> str:
    """Without white space; PDFium tells a hyphen at the end of a line as another sign."""
    return re.sub(r"[\s\u2060\u200b]+", "", text).replace("\x02", "-")


@dataclass
class Book:
    """A printed edition, as a file and as a reader sees it."""

    edition: Edition
    path: Path
    site: Path

    @cached_property
    def pdf(self) -> pikepdf.Pdf:
        return pikepdf.Pdf.open(self.path)

    @cached_property
    def view(self) -> pypdfium2.PdfDocument:
        return pypdfium2.PdfDocument(self.path)

    @cached_property
    def texts(self) -> list[str]:
        return [page.get_textpage().get_text_bounded() for page in self.view]

    @cached_property
    def places(self) -> dict[str, int]:
        """Named places and their pages, from 1."""
        numbers = {page.objgen: i for i, page in enumerate(self.pdf.pages, 1)}
        return {
            str(name).removeprefix("/"): numbers[place[0].objgen]
            for name, place in self.pdf.Root.Dests.items()
        }

    @cached_property
    def names(self) -> list[str]:
        """The pages of the site that are in it."""
        parts = contents.read(self.site / self.edition.code)
        if SAMPLE:
            parts = contents.chosen(parts, SAMPLE)
        return [entry.name for part in parts for entry in part.entries]

    def soup(self, name: str) -> BeautifulSoup:
        html = (self.site / self.edition.code / f"{name}.html").read_text("utf8")
        return BeautifulSoup(html, "html.parser")

    def bookmarks(self) -> list[tuple[int, str, int]]:
        """Depth, title and page (from 1)."""
        return [
            (mark.level, mark.get_title(), mark.get_dest().get_index() + 1)
            for mark in self.view.get_toc()
        ]

    def links(self, page: int) -> list[tuple[str, str]]:
        """Where the links of a page lead (``#place`` or an address), and their words.

        A link has a box for each of its lines, and its page number has one of its own.
        """
        boxes: dict[tuple[str, int], list[float]] = {}
        for note in self.pdf.pages[page - 1].get("/Annots", []):
            if "/Dest" in note:
                target = f"#{str(note.Dest).removeprefix('/')}"
            elif "/A" in note and "/URI" in note.A:
                target = str(note.A.URI)
            else:
                continue
            left, bottom, right, top = map(float, note.Rect)
            box = boxes.setdefault((target, round((bottom + top) / 12)), [left, bottom, right, top])
            box[:] = min(box[0], left), min(box[1], bottom), max(box[2], right), max(box[3], top)
        text = self.view[page - 1].get_textpage()
        found: dict[str, str] = {}
        for (target, _), (left, bottom, right, top) in boxes.items():
            words = text.get_text_bounded(left - 1, bottom, right + 1, top)
            found[target] = found.get(target, "") + words
        return list(found.items())


@pytest.fixture(scope="module", params=[edition.code for edition in EDITIONS])
def book(request, site, browser, tmp_path_factory) -> Book:
    edition = next(e for e in EDITIONS if e.code == request.param)
    if WHOLE:
        return Book(edition, ROOT / "_build" / "pdf" / pdf_name(edition), site)
    out = tmp_path_factory.mktemp("paper")
    return Book(edition, print_edition(ROOT, out, browser, edition, SAMPLE), site)


def test_what_the_file_says_of_itself(book):
    root, info = book.pdf.Root, book.pdf.docinfo
    assert str(info.Title) == book.edition.title
    assert (
        str(info.Author)
        == {
            "en": "The authors of Visual Attention, from Paper to PyTorch",
            "zh": "《视觉注意力：从论文到 PyTorch》作者",
        }[book.edition.code]
    )
    assert str(root.Lang) == book.edition.lang
    assert root.MarkInfo.Marked
    assert root.PageMode == pikepdf.Name.UseOutlines
    assert root.ViewerPreferences.DisplayDocTitle
    assert book.pdf.is_linearized
    with book.pdf.open_metadata() as metadata:
        assert metadata["dc:title"] == book.edition.title


def test_pages_are_numbered_and_headed(book):
    """Every page but the first has its own number at its outer edge, and a running head."""
    assert len(book.texts) >= (150 if WHOLE else 20)
    if not WHOLE:
        assert len(book.texts) <= 45
    for i, page in enumerate(book.view, 1):
        head = page.get_textpage().get_text_bounded(0, 842 - TOP + 4, 595, 842)
        if i == 1:
            assert head.strip() == ""
            continue
        words = head.split()
        assert words[0 if i % 2 == 0 else -1] == str(i), head
        assert i == 2 or len(words) > 1 or "contents" in head.lower()
        if i % 2 == 0:
            assert squeezed(book.edition.title) in squeezed(head)


def test_the_contents_tell_the_right_pages(book):
    """Each line of the contents ends with the page on which its title then stands."""
    first = min(book.places[name.rpartition("/")[2]] for name in book.names)
    seen: dict[str, str] = {}
    for page in range(2, first):
        for target, words in book.links(page):
            seen[target.removeprefix("#")] = squeezed(words)
    titles = {}
    for name in book.names:
        key, soup = name.rpartition("/")[2], book.soup(name).article
        for sign in soup.select(".headerlink, .section-number, .katex-mathml"):
            sign.decompose()
        if name != "index":
            titles[key] = soup.h1.get_text()
        for section in soup.select("section[id]:has(> h2)"):
            titles[f"{key}--{section['id']}"] = section.h2.get_text()
    assert set(titles) <= set(seen)
    for place, title in titles.items():
        words = seen[place]
        number = re.search(r"\d+$", words)[0]
        assert squeezed(title) in words
        assert int(number) == book.places[place], (title, words)
        assert squeezed(title) in squeezed(book.texts[int(number) - 1]), title


def test_bookmarks(book):
    """Part, chapter, section, each leading to the page that has its title."""
    marks = book.bookmarks()
    depths = {depth for depth, _, _ in marks}
    assert depths == {0, 1, 2}
    for name in book.names:
        key = name.rpartition("/")[2]
        assert any(page == book.places[key] for _, _, page in marks)
    for depth, title, page in marks:
        if depth == 2:
            assert squeezed(title) in squeezed(book.texts[page - 1]), title


def test_chapters_begin_on_a_page_of_their_own(book):
    starts = [book.places[name.rpartition("/")[2]] for name in book.names]
    assert len(set(starts)) == len(starts)
    for name in book.names:
        place = book.pdf.Root.Dests[f"/{name.rpartition('/')[2]}"]
        assert float(place[3]) > 842 - TOP - 2  # the top of the text


def test_all_links_lead_somewhere(book):
    """Inside to places that exist; outside to addresses, which can also be read on paper."""
    inside = outside = 0
    everything = squeezed("".join(book.texts))
    for page in range(1, len(book.texts) + 1):
        for target, _ in book.links(page):
            if target.startswith("#"):
                assert target[1:] in book.places
                inside += 1
            else:
                assert re.match(r"https?://", target), target
                bare = re.sub(r"^https?://|arxiv\.org/abs/", "", target).rstrip("/")
                assert squeezed(bare) in everything, target
                outside += 1
    assert inside > 25
    assert outside > 15


def test_fonts_are_embedded(book):
    """As real fonts: TrueType, with names, Chinese characters too; none drawn piece by piece."""
    names = set()
    for item in book.pdf.objects:
        if not isinstance(item, pikepdf.Dictionary) or item.get("/Type") != "/Font":
            continue
        assert item.Subtype != "/Type3"
        for font in item.get("/DescendantFonts", [item]):
            if font.Subtype == "/Type0":
                continue
            assert "/FontFile2" in font.FontDescriptor, font.BaseFont
            names.add(str(font.BaseFont).partition("+")[2])
    assert any(name.startswith("CharisSIL") for name in names)
    assert any(name.startswith("DejaVuSansMono") for name in names)
    assert any(name.startswith("KaTeX_Math") for name in names)
    assert any(name.startswith("NotoSansCJKsc") for name in names)
    if book.edition.code == "zh":
        assert {"NotoSerifCJKsc-Regular", "NotoSansCJKsc-Bold"} <= names
    assert not any("Liberation" in name or "DejaVuSans-" in name for name in names), names


def test_nothing_stands_outside_the_text(book):
    """The rim of every page is white paper, but for the running head at the top.

    Chromium does not paint what reaches into the rim; it would be cut off. So the places of all
    words are looked at, too.
    """
    for i, page in enumerate(book.view, 1):
        text = page.get_textpage()
        for number in range(text.count_rects()):
            left, bottom, right, top = text.get_rect(number)
            words = f"page {i}: {text.get_text_bounded(left, bottom, right, top)}"
            assert left > LEFT - 4, words
            assert right < LEFT + WIDTH + 4, words
            assert bottom > 842 - TOP - HEIGHT - 2, words
            assert top < 842 - 30, words
        picture = page.render(scale=1.0, grayscale=True).to_pil()
        width, height = picture.size
        slack = 3
        rims = {
            "left": (0, 0, int(LEFT) - slack, height),
            "right": (int(LEFT + WIDTH) + slack + 1, 0, width, height),
            "bottom": (0, int(TOP + HEIGHT) + slack, width, height),
            "top": (0, 0, width, 40),
            "under the head": (0, 62, width, int(TOP) - slack),
        }
        for name, box in rims.items():
            darkest, _ = picture.crop(box).getextrema()
            assert darkest > 250, f"page {i}: something stands at the {name}"


def test_figures_are_whole(book):
    """Each figure lies on one page, as the tags of the PDF tell; and none got lost."""
    pages: list[set] = []

    def walk(node, page, into):
        if isinstance(node, int):
            if into is not None:
                into.add(page)
            return
        if isinstance(node, pikepdf.Array):
            for child in node:
                walk(child, page, into)
            return
        if not isinstance(node, pikepdf.Dictionary):
            return
        page = node.Pg.objgen if "/Pg" in node else page
        if node.get("/S") == "/Figure":
            into = set()
            pages.append(into)
        if node.get("/Type") == "/MCR":
            into is not None and into.add(page)
        elif "/K" in node:
            walk(node.K, page, into)

    walk(book.pdf.Root.StructTreeRoot.K, None, None)
    assert all(len(found) <= 1 for found in pages)
    images = sum(len(book.soup(name).article.select("img")) for name in book.names)
    assert sum(len(found) == 1 for found in pages) >= images
    for i, page in enumerate(book.view, 1):
        for item in page.get_objects(filter=[pypdfium2.raw.FPDF_PAGEOBJ_IMAGE]):
            left, bottom, right, top = item.get_bounds()
            assert left > LEFT - 1, i
            assert right < LEFT + WIDTH + 1, i
            assert bottom > 842 - TOP - HEIGHT - 1, i
            assert top < 842 - TOP + 1, i


def test_captions_stay_with_their_figures(book):
    """Number and first words of the caption are on the page where the figure begins."""
    found = 0
    for name in book.names:
        for figure in book.soup(name).article.select("figure[id]"):
            page = book.places.get(f"{name.rpartition('/')[2]}--{figure['id']}")
            caption = figure.select_one("figcaption")
            for formula in caption.select(".math, .headerlink"):
                formula.replace_with("\n")
            words = squeezed(caption.get_text().strip().split("\n")[0])[:20]
            if page:  # the text refers to it, so it has a place in the PDF
                assert words in squeezed(book.texts[page - 1]), (name, figure["id"])
                found += 1
    assert found


def test_no_line_of_code_is_cut(book):
    """Every line of code and output is there, to its end; long ones wrap."""
    everything = squeezed("".join(book.texts))
    for name in book.names:
        for block in book.soup(name).article.select("pre"):
            for line in block.get_text().split("\n"):
                assert squeezed(line) in everything, (name, line)


def test_what_was_folded_is_open_and_buttons_are_gone(book):
    everything = squeezed("".join(book.texts))
    folded = 0
    for name in book.names:
        for fold in book.soup(name).article.select("details"):
            for formula in fold.select(".math"):
                formula.replace_with(" ")
            for words in re.findall(r"[\w\u3400-\u9fff]{6,}", fold.get_text()):
                assert words in everything, (name, words)
            folded += 1
    assert folded >= 5
    tools = book.soup("notebooks/se").select(".tools .button, .page-toc p, .turn span")
    assert len(tools) >= 6
    for tool in tools:
        assert f"\n{tool.get_text(strip=True)}\r\n" not in "\r\n".join(book.texts)
