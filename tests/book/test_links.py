"""The check of addresses outside the book."""

import pytest
from attnbook import links
from attnbook.addresses import Addresses

OWN = Addresses("https://g/o/n", "main", "https://s", "gh-pages", "w.whl")


def test_every_address_outside_is_found_once_with_its_pages(tmp_path):
    (tmp_path / "en").mkdir()
    (tmp_path / "a.html").write_text(
        '<a class="x" href="https://arxiv.org/abs/1#s">1</a> <a href="b.html">b</a>'
        '<a href="https://g/o/n/issues">own</a> <a href="https://s/en/">own</a>'
        '<link href="https://s2/x.css"/> <a href="https://h/?a=1&amp;b=2">q</a>',
        "utf8",
    )
    (tmp_path / "en" / "b.html").write_text('<a href="https://arxiv.org/abs/1">1</a>', "utf8")
    assert links.external_links(tmp_path, OWN) == {
        "https://arxiv.org/abs/1": {"a.html", "en/b.html"},
        "https://h/?a=1&b=2": {"a.html"},
    }


@pytest.mark.parametrize(
    ("answers", "verdict", "asked"),
    [
        ([200], "fine", 1),
        ([404], "broken (404)", 1),
        ([403], "refused (403)", 1),
        ([503, 200], "fine", 2),
        ([503, 503, 503], "broken (503)", 3),
        ([OSError("no such host")] * 3, "broken (no such host)", 3),
        ([OSError("reset"), 200], "fine", 2),
    ],
)
def test_verdicts(answers, verdict, asked):
    calls = []

    def ask(url):
        calls.append(url)
        answer = answers[len(calls) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert links.verdict("https://x", ask, pause=0) == verdict
    assert len(calls) == asked
