"""The sources of the book pass every check; test_structure_catches.py shows that checks work."""

import pytest
from attnbook.contents import Contents
from attnbook.structure import BOOK_CHECKS, PAGE_CHECKS, contents_are_complete, read_book
from book.conftest import ROOT

BOOK = read_book(ROOT)


def report(problems):
    problems = [str(problem) for problem in problems]
    assert not problems, "\n" + "\n".join(problems)


@pytest.mark.parametrize("check", PAGE_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("page", BOOK.pages, ids=lambda page: page.file)
def test_page(page, check):
    report(check(page))


@pytest.mark.parametrize("check", BOOK_CHECKS, ids=lambda check: check.__name__)
def test_book(check):
    report(check(BOOK))


def test_contents():
    report(contents_are_complete(ROOT))
    pages = Contents.load(ROOT).pages
    assert len(set(pages)) == len(pages)
