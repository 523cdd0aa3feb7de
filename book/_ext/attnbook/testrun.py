"""Test everything, part by part: ``python -m attnbook.testrun [part ...]``, or `make test`.

Every part runs, also after one has failed; the last line counts tests over all of them, where a
command that is no test run (building, style) counts as one. The exit status is 0 only if nothing
failed.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections import Counter

_PYTHON = [sys.executable, "-m"]
_PYTEST = [*_PYTHON, "pytest", "-q", "--color=no"]
_TWO = ["-n", "2", "--dist", "loadscope"]

#: Name of each part and its commands, in the order in which they run.
PARTS: dict[str, list[list[str]]] = {
    "book": [[*_PYTHON, "attnbook.build"]],
    "lint": [
        [*_PYTHON, "ruff", "check", "."],
        [*_PYTHON, "ruff", "format", "--check", "."],
        [*_PYTHON, "mypy"],
    ],
    "unit": [
        [*_PYTEST, *_TWO, "--properties", "book/properties.json", "tests/mechanisms"],
        [
            *[*_PYTEST, *_TWO, "-m", "not browser and not serial and not colab"],
            *["--ignore=tests/mechanisms", "attnlib", "tests"],
        ],
    ],
    "notebooks": [[*_PYTEST, *_TWO, "--nbval", "notebooks"]],
    "serial": [[*_PYTEST, "-m", "serial", "tests"]],
    "browser": [[*_PYTEST, *_TWO, "-m", "browser", "--run-browser", "tests/site"]],
    "colab": [[*_PYTEST, "-m", "colab", "tests/site"]],
}
_COUNT = re.compile(r"(\d+) (passed|failed|errors?|skipped|xfailed|xpassed)")
_CLOSING = re.compile(r"^=* ?(?:\d+ [a-z]+(?:, )?)+ in [\d.]+s")


def counts(line: str) -> Counter[str]:
    """Numbers of pytest's closing line; errors are failures."""
    found: Counter[str] = Counter()
    for number, word in _COUNT.findall(line):
        found["failed" if word.startswith("error") else word] += int(number)
    return found


def run(command: list[str]) -> Counter[str]:
    """Run a command, show what it prints, and count."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )
    assert process.stdout is not None
    found: Counter[str] = Counter()
    for line in process.stdout:
        print(line, end="", flush=True)
        if "pytest" in command and _CLOSING.match(line):
            found = counts(line)
    code = process.wait()
    if code and not found["failed"]:
        found["failed"] += 1  # a crash, or no test where there should be some
    elif not code and not found:
        found["passed"] += 1
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m attnbook.testrun", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}")
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")

    total: Counter[str] = Counter()
    lines = []
    start = time.perf_counter()
    for name in options.parts or PARTS:
        print(f"\n=== {name} " + "=" * (76 - len(name)), flush=True)
        began, found = time.perf_counter(), Counter[str]()
        for command in PARTS[name]:
            found += run(command)
        seconds = time.perf_counter() - began
        lines.append(f"{name:<10} {summary(found):<50} {seconds:6.0f} s")
        total += found
    print("\n=== all parts " + "=" * 67)
    print("\n".join(lines))
    print(f"{summary(total)} in {time.perf_counter() - start:.1f}s")
    return 1 if total["failed"] else 0


def summary(found: Counter[str]) -> str:
    words = [f"{found['passed']} passed", f"{found['failed']} failed"]
    words += [f"{found[word]} {word}" for word in ("skipped", "xfailed", "xpassed") if found[word]]
    return ", ".join(words)


if __name__ == "__main__":
    sys.exit(main())
