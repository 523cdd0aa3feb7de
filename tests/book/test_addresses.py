"""Addresses stand in one place and follow a fork."""

from attnbook.addresses import Addresses
from attnbook.languages import EN, ZH


def test_addresses_of_the_book(root):
    addresses = Addresses.load(root, environment={})
    assert addresses.page(ZH, "notebooks/se") == (
        "https://attnlib.github.io/visual-attention/zh/notebooks/se.html"
    )
    assert addresses.colab(EN, "notebooks/se") == (
        "https://colab.research.google.com/github/attnlib/visual-attention"
        "/blob/gh-pages/en/notebooks/se.ipynb"
    )
    assert addresses.edit("book/glossary.md") == (
        "https://github.com/attnlib/visual-attention/edit/main/book/glossary.md"
    )
    report = addresses.report("a & b", "line\nline")
    assert report.endswith("/issues/new?title=a+%26+b&body=line%0Aline")


def test_a_fork_that_names_itself_gets_its_own(root):
    fork = {"ATTNBOOK_REPOSITORY": "https://github.com/Someone/my-book/"}
    addresses = Addresses.load(root, environment=fork)
    assert addresses.repository == "https://github.com/Someone/my-book"
    assert addresses.site == "https://someone.github.io/my-book"
    assert addresses.wheel.startswith("https://someone.github.io/my-book/wheels/attnlib-")
    assert "Someone/my-book/blob/gh-pages/zh/" in addresses.colab(ZH, "notebooks/se")


def test_a_site_of_its_own_and_another_branch(root):
    own = {"ATTNBOOK_BASEURL": "http://127.0.0.1:8000/", "ATTNBOOK_BRANCH": "site"}
    addresses = Addresses.load(root, environment=own)
    assert addresses.wheel.startswith("http://127.0.0.1:8000/wheels/attnlib-")
    assert "/blob/site/en/" in addresses.colab(EN, "notebooks/se")
    assert addresses.repository == "https://github.com/attnlib/visual-attention"


def test_the_install_cell_never_touches_torch(root):
    cell = Addresses.load(root, environment={}).install_cell
    assert "torch" not in cell.replace("attnlib", "")
    assert cell.startswith(
        "try:\n    import attnlib\nexcept ModuleNotFoundError:\n    %pip install -q "
    )
