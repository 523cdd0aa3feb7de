"""An archive of each edition that opens from disk: ``python -m attnbook.offline``, `make offline`.

    _build/offline/visual-attention-en.zip    _build/offline/visual-attention-zh.zip

An archive is the built edition, with its notebooks and the wheel of attnlib. Links that leave the
edition lead to the published site. The full-text index stays away, since no browser can use it from
disk: search falls back to the book's own index.
"""

from __future__ import annotations

import argparse
import re
import sys
import zipfile
from pathlib import Path
from posixpath import dirname, join, normpath

from attnbook import downloads
from attnbook.addresses import Addresses
from attnbook.languages import EDITIONS, Edition
from attnbook.versions import Commit, head

_UP = re.compile(r'(?P<name>\b(?:href|src)=")(?P<url>\.\./[^"]*)"')

READ_ME = {
    "en": """{title}

Open index.html in a browser. Everything works without a network: text, formulas, figures, search
by titles, sections, terms and names. Each notebook lies beside its page.

The library:  pip install "wheels/{wheel}[lab]"
The site:     {site}/en/
This copy:    {commit}
""",
    "zh": """{title}

用浏览器打开 index.html。正文、公式、插图都不需要网络；搜索可以找到标题、小节、术语和代码中的名字。
每份 notebook 都在它的网页旁边。

安装随书的库：pip install "wheels/{wheel}[lab]"
网站：{site}/zh/
本份版本：{commit}
""",
}


def page(html: str, name: str, edition: Edition, addresses: Addresses) -> str:
    """A page of the edition (``notebooks/se.html``) as it goes into the archive."""

    def stay_or_leave(match: re.Match[str]) -> str:
        path, mark, rest = match["url"].partition("#")
        target = normpath(join(dirname(name), path))
        if not target.startswith("../"):
            return match[0]
        return f'{match["name"]}{addresses.site}/{target.removeprefix("../")}{mark}{rest}"'

    html = downloads.fill(html, downloads.away(edition, addresses))
    return _UP.sub(stay_or_leave, html)


def content(path: Path, name: str, edition: Edition, addresses: Addresses) -> bytes | None:
    """What a file of the built edition becomes in the archive, ``None`` if it stays away."""
    if name.startswith("pagefind/"):
        return None
    if name.endswith(".html"):
        return page(path.read_text("utf8"), name, edition, addresses).encode()
    if name == "search-index.js":
        return path.read_text("utf8").replace('"fulltext":true', '"fulltext":false', 1).encode()
    return path.read_bytes()


def pack(site: Path, edition: Edition, addresses: Addresses, commit: Commit, out: Path) -> Path:
    """Write the archive of a built edition into the folder ``out``."""
    folder = site / edition.code
    files: dict[str, bytes] = {
        "README.txt": READ_ME[edition.code]
        .format(
            title=edition.title,
            wheel=addresses.wheel_name,
            site=addresses.site,
            commit=f"{addresses.commit(commit.short)} ({commit.date})" if commit.id else "?",
        )
        .encode(),
        f"wheels/{addresses.wheel_name}": (site / "wheels" / addresses.wheel_name).read_bytes(),
    }
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and (data := content(path, name, edition, addresses)) is not None:
            files[name] = data
    out.mkdir(parents=True, exist_ok=True)
    archive = out / downloads.archive_name(edition)
    year, month, day = map(int, (commit.date or "1980-01-01").split("-"))
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for name, data in sorted(files.items()):
            # The date of the commit: the same pages give the same archive.
            entry = zipfile.ZipInfo(f"{archive.stem}/{name}", (year, month, day, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            packed.writestr(entry, data, zipfile.ZIP_DEFLATED)
    return archive


def pack_book(root: Path) -> list[Path]:
    """The archives of both editions of the built book."""
    addresses, commit = Addresses.load(root), head(root)
    site, out = root / "_build" / "html", root / "_build" / "offline"
    return [pack(site, edition, addresses, commit, out) for edition in EDITIONS]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m attnbook.offline", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the repository")
    options = parser.parse_args(arguments)
    for path in pack_book(options.root.resolve()):
        print(f"{path}: {downloads.size(path)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
