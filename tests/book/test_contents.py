"""Pages, notebooks and chapters are told apart by the contents alone."""

import json

import pytest
from attnbook import catalogue
from attnbook.contents import Contents
from attnbook.export import leftovers
from attnbook.structure import problems
from book.conftest import ROOT, build_edition

TOC = """\
format: jb-book
root: index
parts:
  - caption: Start
    chapters:
      - file: book/start
  - caption: Chapters
    numbered: 1
    chapters:
      - file: notebooks/b
      - file: book/between
      - file: notebooks/a
        sections:
          - file: notebooks/c
  - caption: Use it
    chapters:
      - file: notebooks/tool
"""


def test_chapters_are_the_notebooks_of_the_numbered_part(tmp_path):
    (tmp_path / "_toc.yml").write_text(TOC, "utf8")
    contents = Contents.load(tmp_path)
    assert contents.pages == (
        "index", "book/start", "notebooks/b", "book/between", "notebooks/a", "notebooks/c",
        "notebooks/tool",
    )  # fmt: skip
    assert contents.chapters == ("notebooks/b", "notebooks/a", "notebooks/c")
    assert contents.notebooks == (*contents.chapters, "notebooks/tool")


def test_chapters_of_this_book_are_its_papers():
    papers = {f"notebooks/{row['chapter']}" for row in catalogue.load(ROOT)["chapters"]}
    assert set(Contents.load(ROOT).chapters) == papers


@pytest.fixture
def guide(mini):
    """The small book with its notebook outside the numbered part: no chapter any more."""
    path = mini / "_toc.yml"
    path.write_text(path.read_text("utf8").replace("    numbered: 1\n", ""), "utf8")
    assert Contents.load(mini).notebooks == ("notebooks/demo",)
    assert Contents.load(mini).chapters == ()
    return mini


def test_a_notebook_that_is_no_chapter_needs_no_rooms_but_all_else(guide):
    path = guide / "notebooks" / "demo.md"
    text = path.read_text("utf8").replace("demo-see", "demo-look")
    path.write_text(text, "utf8")
    found = [str(p) for p in problems(guide)]
    assert not any("room" in message for message in found)
    path.write_text(text.replace("import attnlib\n", "import attnlib as a\n", 1), "utf8")
    found = [str(p) for p in problems(guide)]
    assert any("must be the install cell" in message for message in found)
    assert any("run `make notebooks`" in message for message in found)


def test_a_notebook_that_is_no_chapter_is_published_as_one(guide, tmp_path):
    result = build_edition(guide, "zh", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    page = (tmp_path / "out" / "notebooks" / "demo.html").read_text("utf8")
    assert 'href="demo.ipynb" download' in page
    assert '<span class="section-number">' not in page
    notebook = json.loads((tmp_path / "out" / "notebooks" / "demo.ipynb").read_text("utf8"))
    assert leftovers(notebook) == []
    prose = "".join(c["source"] for c in notebook["cells"] if c["cell_type"] == "markdown")
    assert "*图 1*" in prose  # figures count through, without a chapter's number
