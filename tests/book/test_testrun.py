"""`make test` counts right, goes on after a failure, and fails if anything failed."""

import sys
from collections import Counter
from pathlib import Path

import pytest
from attnbook import testrun


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("12 passed in 3.20s", {"passed": 12}),
        ("1 failed, 2 passed, 3 skipped in 61.0s", {"failed": 1, "passed": 2, "skipped": 3}),
        ("2 passed, 3 errors in 0.1s", {"passed": 2, "failed": 3}),
        ("===== 1 failed, 1 error in 0.1s =====", {"failed": 2}),
    ],
)  # fmt: skip
def test_counts_of_a_closing_line(line, expected):
    assert testrun._CLOSING.match(line)
    assert testrun.counts(line) == expected


def test_a_failing_part_fails_the_run_and_the_others_still_run(monkeypatch, capfd, tmp_path):
    (tmp_path / "test_a.py").write_text("def test_a(): pass\ndef test_b(): assert 0\n", "utf8")
    python = [sys.executable, "-c"]
    pytest_command = [sys.executable, "-m", "pytest", "-q", "--color=no", "-c", "/dev/null"]
    parts = {
        "broken": [[*python, "raise SystemExit(3)"]],
        "tests": [[*pytest_command, str(tmp_path)]],
        "none": [[*pytest_command, "-k", "nothing", str(tmp_path)]],
        "fine": [[*python, "print('fine indeed')"]],
    }
    monkeypatch.setattr(testrun, "PARTS", parts)
    assert testrun.main([]) == 1
    out = capfd.readouterr().out
    assert "fine indeed" in out
    assert out.strip().splitlines()[-1].startswith("2 passed, 3 failed in ")
    assert testrun.main(["fine"]) == 0
    with pytest.raises(SystemExit):
        testrun.main(["unknown"])


def test_no_two_test_files_have_one_name():
    """Pytest would import the first and refuse the second, whichever part runs both."""
    names = Counter(path.name for path in Path(__file__).parents[1].rglob("test_*.py"))
    assert [name for name, times in names.items() if times > 1] == []
