"""Do the addresses outside the book still answer? ``python -m attnbook.links``, once a week.

Links within the site are a matter of the tests; those that lead out can break while nobody
changes anything. An address counts as broken if it is gone (404, 410) or its host does not answer
after three tries; a host that refuses a program (403, 429, ...) is listed, no more.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Callable
from html import unescape
from pathlib import Path
from urllib.parse import urldefrag

from attnbook.addresses import Addresses

_HREF = re.compile(r'<a\b[^>]*?\bhref="(https?://[^"]+)"')
_GONE = {404, 410}
_TRIES, _PAUSE, _TIMEOUT = 3, 5.0, 30


def external_links(site: Path, addresses: Addresses) -> dict[str, set[str]]:
    """Every address outside the book, with the pages that name it."""
    own = (addresses.site, addresses.repository, "https://colab.research.google.com/")
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted(site.rglob("*.html")):
        for href in _HREF.findall(path.read_text("utf8")):
            url, _ = urldefrag(unescape(href))
            if not url.startswith(own):
                found[url].add(path.relative_to(site).as_posix())
    return dict(sorted(found.items()))


def status_of(url: str) -> int:
    """The answer's status; ``OSError`` if nobody answers."""
    headers = {"User-Agent": "Mozilla/5.0 (link check of a book)"}
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def verdict(url: str, ask: Callable[[str], int] = status_of, pause: float = _PAUSE) -> str:
    """``"fine"``, ``"refused (403)"`` or ``"broken (why)"``."""
    reason = ""
    for attempt in range(_TRIES):
        try:
            status = ask(url)
        except OSError as error:
            reason = str(error)
        else:
            if status in _GONE:
                return f"broken ({status})"
            if status < 400:
                return "fine"
            if status < 500:
                return f"refused ({status})"
            reason = str(status)
        if attempt + 1 < _TRIES:
            time.sleep(pause * (attempt + 1))
    return f"broken ({reason})"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m attnbook.links", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the repository")
    options = parser.parse_args(arguments)
    links = external_links(options.root / "_build" / "html", Addresses.load(options.root))
    broken = 0
    for url, pages in links.items():
        answer = verdict(url)
        if answer != "fine":
            print(f"{answer}: {url}\n    on {', '.join(sorted(pages))}", flush=True)
        broken += answer.startswith("broken")
        time.sleep(1)  # several papers lie on the same host
    print(f"{len(links)} addresses, {broken} broken")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
