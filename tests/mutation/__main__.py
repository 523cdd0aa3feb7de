"""Are the mechanisms' tests worth their name? ``make mutation``, or ``make mutation FILES=se``.

Each file of ``attnlib/mechanisms`` is changed in one place after another (operators.py), and the
tests of that mechanism (``tests/mechanisms/test_<stem>.py``) run until one fails (runner.py). A
mutant that no test notices is a hole in the tests, or computes the same: then ``equivalent.yml``
says why. Those listed there are taken to survive without being tried (``--listed`` tries them). The
outcome is kept in ``report.json``; files that have not changed since, and whose tests have not, are
not run again unless they are named.

A file whose tests have changed since is marked in the table: its numbers are those of an earlier
state, which is no error. All files take about half an hour of one core, so this runs on demand and
not with the other tests.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile

# As in tests/conftest.py; forked children must find no threads.
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")
os.environ["OMP_NUM_THREADS"] = "1"


def main() -> int:
    parser = argparse.ArgumentParser(prog="make mutation", description=__doc__)
    parser.add_argument("stems", nargs="*", help="files of attnlib/mechanisms, such as: se cbam")
    parser.add_argument(
        "--survivors", action="store_true", help="try again only the mutants that had survived"
    )
    parser.add_argument(
        "--listed", action="store_true", help="try also those in equivalent.yml, which survive"
    )
    options = parser.parse_args()

    from mutation import report

    if unknown := set(options.stems) - set(report.stems()):
        parser.error(f"no such mechanism: {', '.join(sorted(unknown))}")
    found = report.load()
    changed = [
        stem for stem in report.stems() if found.get(stem, {}).get("of") != report.fingerprint(stem)
    ]
    os.chdir(report.ROOT)
    for stem in options.stems or changed:
        # In a process of its own: pytest collects once in a process.
        if (child := os.fork()) == 0:
            os._exit(run(stem, options.survivors, options.listed))
        if os.wait4(child, 0)[1]:
            return 1
    report.explain()
    found = report.load()
    print(report.table(found))
    every = report.total(found)
    return 0 if every.rate >= report.REQUIRED and not every.unexplained else 1


def run(stem: str, survivors_only: bool, listed: bool) -> int:
    """Test one file's mutants and store the outcome; what is not tried counts as survived."""
    import pytest
    from mutation import operators, report, runner

    path = report.MECHANISMS / f"{stem}.py"
    code = path.read_text("utf-8")
    mutants = list(operators.mutants(code))
    count, before = len(mutants), report.load().get(stem)
    known = {} if listed else report.reasons(stem)
    changes = {mutant: operators.change(code, mutant) for mutant in mutants}
    taken = [changes[mutant] for mutant in mutants if changes[mutant] in known]
    mutants = [mutant for mutant in mutants if changes[mutant] not in known]
    # Tests may have become stronger since; another number of mutants is other code.
    survivors_only &= before is not None and before["mutants"] == count
    if survivors_only:
        again = {(s["where"], s["line"], s["becomes"]) for s in before["survivors"]}
        mutants = [mutant for mutant in mutants if changes[mutant] in again]
    progress = report.Progress(stem)
    open_ = [mutant for mutant in mutants if progress.get(mutant) is None]
    print(f"{stem}: {len(mutants)} mutants, {len(open_)} to run", flush=True)
    if open_:
        runner.preload()
        sys.dont_write_bytecode = False
        sys.pycache_prefix = tempfile.mkdtemp()

        def tell(mutant: str, killer: str, seconds: float) -> None:
            progress.add(mutant, killer, seconds)
            if not killer:
                print(stem, *changes[mutant], sep="  |  ")
            sys.stdout.flush()

        session = runner.Session(f"attnlib.mechanisms.{stem}", str(path), open_, tell)
        tests = f"tests/mechanisms/test_{stem}.py"
        if pytest.main([*runner.ARGUMENTS, tests], plugins=[session]):
            return 1
    outcomes = {mutant: progress.get(mutant) or ("", 0.0) for mutant in mutants}
    survivors = [changes[m] for m, (killer, _) in outcomes.items() if not killer]
    survivors += taken
    seconds = sum(seconds for _, seconds in outcomes.values())
    seconds += before["cpu_seconds"] if survivors_only else 0
    report.store(stem, count, survivors, seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
