"""The two editions and everything that tells them apart."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Edition:
    """One language of the book."""

    code: str  #: folder of the edition, and the end of the tag ``lang-en`` / ``lang-zh``
    lang: str  #: value of ``<html lang>`` and ``hreflang``
    sphinx: str  #: Sphinx's name of the language; ``zh-cn`` would silently give an English page
    locale: str  #: Open Graph's name of it
    label: str  #: its name in itself, as the language switch shows it
    title: str  #: title of the book
    colon: str  #: what stands between a label and its text

    @property
    def tag(self) -> str:
        return f"lang-{self.code}"

    @property
    def other(self) -> Edition:
        return ZH if self is EN else EN


EN = Edition("en", "en", "en", "en_US", "English", "Visual Attention, from Paper to PyTorch", ": ")
ZH = Edition("zh", "zh-CN", "zh_CN", "zh_CN", "中文", "视觉注意力：从论文到 PyTorch", "：")
EDITIONS = (EN, ZH)


def edition_of(language: str | None) -> Edition:
    """The edition that a Sphinx build in ``language`` makes."""
    return ZH if (language or "").lower().startswith("zh") else EN
