"""What was found, kept in ``report.json``, and why survivors may live, in ``equivalent.yml``."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import yaml

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
REPORT = FOLDER / "report.json"
EQUIVALENT = FOLDER / "equivalent.yml"
MECHANISMS = ROOT / "attnlib" / "mechanisms"
REQUIRED = 0.95

Change = tuple[str, str, str]  # where, line, becomes: see operators.Change


def stems() -> list[str]:
    return sorted(p.stem for p in MECHANISMS.glob("*.py") if p.stem != "__init__")


def fingerprint(stem: str) -> str:
    """Changes with the mechanism and with its tests."""
    tests = ROOT / "tests" / "mechanisms"
    files = [MECHANISMS / f"{stem}.py", tests / f"test_{stem}.py"]
    files += [tests / "contract.py", tests / "gradients.py"]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:16]


def load() -> dict[str, Any]:
    return json.loads(REPORT.read_text("utf-8")) if REPORT.exists() else {}


def reasons(stem: str) -> dict[Change, str]:
    """Of every mutant that is listed as equivalent."""
    listed = yaml.safe_load(EQUIVALENT.read_text("utf-8")) or {}
    return {
        (entry["where"], entry["line"], becomes): entry["reason"]
        for entry in listed.get(stem, [])
        for becomes in entry["becomes"]
    }


def store(stem: str, mutants: int, survivors: Iterable[Change], seconds: float) -> None:
    """Put the outcome for one file into the report, which stays sorted."""
    found = load()
    known = reasons(stem)
    found[stem] = {
        "of": fingerprint(stem),
        "mutants": mutants,
        "killed": mutants - len(survivors := sorted(survivors)),
        "cpu_seconds": round(seconds),
        "survivors": [
            {"where": s[0], "line": s[1], "becomes": s[2], "reason": known.get(tuple(s))}
            for s in survivors
        ],
    }
    _write(found)


def explain() -> None:
    """Take over the reasons as they are now listed."""
    found = load()
    for stem, entry in found.items():
        known = reasons(stem)
        for s in entry["survivors"]:
            s["reason"] = known.get((s["where"], s["line"], s["becomes"]))
    _write(found)


def _write(found: dict[str, Any]) -> None:
    text = json.dumps(dict(sorted(found.items())), indent=1, ensure_ascii=False)
    REPORT.write_text(text + "\n", "utf-8")


class Progress:
    """Outcomes so far, outside of the repository's files: a run that was interrupted goes on."""

    def __init__(self, stem: str) -> None:
        self.path = ROOT / "_build" / "mutation" / f"{stem}-{fingerprint(stem)}.jsonl"
        self.outcomes: dict[str, tuple[str, float]] = {}
        if self.path.exists():
            for line in self.path.read_text("utf-8").splitlines():
                mutant, killer, seconds = json.loads(line)
                self.outcomes[mutant] = killer, seconds

    def add(self, mutant: str, killer: str, seconds: float) -> None:
        mutant = self._key(mutant)
        self.outcomes[mutant] = killer, seconds
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([mutant, killer, round(seconds, 2)]) + "\n")

    def get(self, mutant: str) -> tuple[str, float] | None:
        return self.outcomes.get(self._key(mutant))

    @staticmethod
    def _key(mutant: str) -> str:
        return hashlib.sha256(mutant.encode()).hexdigest()[:16]


class Total(NamedTuple):
    mutants: int
    killed: int
    unexplained: int

    @property
    def rate(self) -> float:
        return self.killed / self.mutants if self.mutants else 0.0


def total(found: dict[str, Any]) -> Total:
    count: Counter[str] = Counter()
    for entry in found.values():
        count["mutants"] += entry["mutants"]
        count["killed"] += entry["killed"]
        count["unexplained"] += sum(not s["reason"] for s in entry["survivors"])
    return Total(count["mutants"], count["killed"], count["unexplained"])


def table(found: dict[str, Any]) -> str:
    lines = [f"{'':12}{'mutants':>8}{'killed':>8}{'':>9}{'listed':>8}{'open':>6}{'CPU s':>7}"]
    for stem, entry in found.items():
        one = total({stem: entry})
        listed = one.mutants - one.killed - one.unexplained
        stale = "" if entry["of"] == fingerprint(stem) else "  (of an earlier state)"
        lines.append(
            f"{stem:12}{one.mutants:8}{one.killed:8}{one.rate:9.1%}{listed:8}{one.unexplained:6}"
            f"{entry['cpu_seconds']:7}{stale}"
        )
    lines += [f"{stem:12}{'not run':>8}" for stem in stems() if stem not in found]
    every = total(found)
    listed = every.mutants - every.killed - every.unexplained
    lines.append(
        f"{'all':12}{every.mutants:8}{every.killed:8}{every.rate:9.1%}{listed:8}"
        f"{every.unexplained:6}"
    )
    return "\n".join(lines)
