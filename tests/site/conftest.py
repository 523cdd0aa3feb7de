"""The built site on loopback, under the path it is published at, and Chromium to look at it."""

from __future__ import annotations

import functools
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SITE = ROOT / "_build" / "html"
PREFIX = "/visual-attention"  #: the site's path on its host: absolute links must work there too


class _Pages(SimpleHTTPRequestHandler):
    """Serves files as GitHub Pages does: under a prefix, lost addresses get ``404.html``."""

    def translate_path(self, path: str) -> str:
        if not path.startswith(f"{PREFIX}/") and path != PREFIX:
            return str(SITE / "no such file")
        return super().translate_path(path[len(PREFIX) :] or "/")

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        lost = SITE / "404.html"
        if code != 404 or not lost.exists():
            super().send_error(code, message, explain)
            return
        body = lost.read_bytes()
        self.send_response(404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="session")
def site() -> Path:
    """The folder of the built site."""
    if not (SITE / "en" / "index.html").exists():
        pytest.fail("there is no built site: run `make book` first")
    return SITE


@pytest.fixture(scope="session")
def pages(site: Path) -> list[str]:
    """Every page that readers can reach in either edition: ``notebooks/se`` and the like."""
    return sorted(
        path.relative_to(site / "en").with_suffix("").as_posix()
        for path in (site / "en").rglob("*.html")
        if not any(part.startswith("_") for part in path.relative_to(site / "en").parts)
    )


@pytest.fixture(scope="session")
def base_url(site: Path) -> Iterator[str]:
    """Address of the served site, without a slash at the end."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Pages, directory=str(site)))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}{PREFIX}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def browser():
    """Chromium: the system's, else the one that Playwright installed."""
    from playwright.sync_api import sync_playwright

    path = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=path,
            # Nothing but the pages under test may reach for the network.
            args=["--no-sandbox", "--disable-background-networking", "--disable-quic"],
        )
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser, base_url: str) -> Iterator[Callable]:
    """``open_page("zh/notebooks/se.html", viewport=..., color_scheme=...)`` → a loaded page.

    The page's ``requested`` lists the address of everything it asked for.
    """
    contexts = []

    def open_(address: str, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.requested = []
        page.on("request", lambda request: page.requested.append(request.url))
        page.goto(f"{base_url}/{address.lstrip('/')}", wait_until="load")
        return page

    yield open_
    for context in contexts:
        context.close()
