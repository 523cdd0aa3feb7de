"""The browser that prints the book: the system's Chromium, else the one that Playwright has."""

from __future__ import annotations

import shutil
from typing import Any

#: No sandbox: the pages are the book's own, and containers rarely allow one. And nothing but the
#: pages themselves may reach for the network.
ARGUMENTS = ("--no-sandbox", "--disable-background-networking", "--disable-quic")
NAMES = ("chromium", "chromium-browser", "google-chrome")


def launch(playwright: Any) -> Any:
    """A running Chromium without a window."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    return playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
