"""The comparison with other implementations: fair by construction, and judged without mercy."""

import copy
import json
import re
from pathlib import Path

import pytest
import torch

import attnlib
from benchmarks import records, speed, verdict
from benchmarks.peers import CASES, SEQUENCE, equal

pytest.importorskip("fightingcv_attention")
pytest.importorskip("pytorchcv")

ROOT = Path(__file__).parents[2]
PAIRS = [(case, peer) for case in CASES for peer in case.peers]


def test_every_mechanism_has_a_case():
    assert {case.mechanism for case in CASES} == set(attnlib.available())


@pytest.mark.parametrize(
    ("case", "peer"), PAIRS, ids=[f"{case.mechanism}, {peer.package}" for case, peer in PAIRS]
)
def test_both_sides_compute_the_same(case, peer):
    """On random weights, and not because both return their input."""
    size = (1, 20, 128) if SEQUENCE in case.sizes else (2, 128, 6, 6)
    theirs, ours = case.pair(peer, 128)
    x = torch.randn(size)
    assert equal(theirs, ours, x)
    with torch.no_grad():
        assert not torch.allclose(theirs(x), x, atol=1e-2)
        for p in ours.parameters():
            p.add_(0.5)
    assert not equal(theirs, ours, x)


def test_a_comparison_in_small():
    case = next(c for c in CASES if c.mechanism == "cbam")
    rows = list(speed.compare(case, (2, 64, 8, 8), speed.Setting(threads=1), seconds=3.0, rounds=9))
    assert rows[0]["module"] == "copy of x"
    assert rows[0]["copies"] == 1
    peers = [r for r in rows if "same" in r]
    assert [(r["module"], r["pass"]) for r in peers] == [
        (package, which)
        for which in verdict.PASSES
        for package in ("fightingcv-attention", "pytorchcv")
    ]
    for row in peers:
        assert row["same"]
        low, high = row["ratio_quartiles"]
        assert 0 < low <= row["ratio"] <= high
        assert row["peak_mb"] > 0


def test_ratio_is_taken_round_by_round():
    """A machine that becomes slower from round to round leaves the ratio alone."""
    theirs = {"samples_s": [2.0, 4.0, 8.0, 16.0, 32.0]}
    ours = {"samples_s": [1.0, 2.0, 4.0, 8.0, 16.0]}
    assert speed._ratio(theirs, ours) == {"ratio": 2.0, "ratio_quartiles": [2.0, 2.0]}
    assert speed._ratio(theirs, {"samples_s": [1.0, 2.0]}) == {"ratio": None}


# --- the verdict ----------------------------------------------------------------------------------


def row(run, mechanism, module, which, **figures):
    first = {c.mechanism: c.sizes[0] for c in CASES}[mechanism]
    return {
        "run": run,
        "sizes": "main",
        "mechanism": mechanism,
        "size": list(first),
        "device": "cpu",
        "threads": 1,
        "module": module,
        "pass": which,
        "ms": 1.0,
        **figures,
    }


def peers(run, ratios):
    return [
        row(run, m, package, which, ratio=r, same=True)
        for which in verdict.PASSES
        for (m, package), r in ratios.items()
    ]


def states(rows, kind):
    return [p.state for p in verdict.promises(rows) if p.kind == kind]


FCV = "fightingcv-attention"


@pytest.mark.parametrize(
    ("first", "second", "state"),
    [(1.0, 0.95, "holds"), (1.0, 0.94, "unconfirmed"), (0.94, 0.9, "fails")],
)
def test_peer(first, second, state):
    rows = peers(1, {("se", FCV): first}) + peers(2, {("se", FCV): second})
    assert states(rows, "peer") == [state] * 2


def test_the_best_peer_decides():
    rows = peers(1, {("se", FCV): 3.0, ("se", "pytorchcv"): 0.5})
    assert [p.values for p in verdict.promises(rows) if p.kind == "peer"] == [(0.5,)] * 2


def test_another_function_is_not_ranked():
    rows = peers(1, {("se", FCV): 0.1})
    for r in rows:
        r["same"] = False
    assert states(rows, "peer") == []


def test_geometric_mean():
    """Over fightingcv-attention at first inputs: 4 and 1 make 2; another package has no part."""
    rows = peers(1, {("se", FCV): 4.0, ("eca", FCV): 1.0, ("cbam", "pytorchcv"): 100.0})
    other = copy.deepcopy(rows[0])
    other["size"], other["ratio"] = [32, 512, 7, 7], 100.0
    found = [p for p in verdict.promises([*rows, other]) if p.kind == "mean"]
    assert [p.values[0] for p in found] == pytest.approx([2.0, 2.0])
    assert [p.state for p in found] == ["holds", "holds"]


@pytest.mark.parametrize(("ours", "state"), [(25.0, "holds"), (26.0, "fails")])
def test_peak_memory(ours, state):
    rows = [
        row(1, "position", module, which, peak_mb=mb, **more)
        for which in verdict.PASSES
        for module, mb, more in [
            ("attnlib for pytorchcv", ours, {}),
            ("pytorchcv", 100.0, {"same": True, "ratio": 1.0}),
        ]
    ]
    assert states(rows, "peak") == [state] * 2


@pytest.mark.parametrize(("copies", "state"), [(4.0, "holds"), (4.1, "fails")])
def test_compiled(copies, state):
    rows = [row(1, "se", verdict.COMPILED, "forward", copies=copies)]
    found = {p.mechanism: p.state for p in verdict.promises(rows) if p.kind == "copies"}
    assert found["se"] == state
    assert found["eca"] == "not measured"


# --- the record -----------------------------------------------------------------------------------


def test_some_mechanisms_anew():
    """The others stay, in order, and say at which commit they were measured."""
    old = [{"run": r, "mechanism": m, "ms": 1} for r in (1, 2) for m in ("se", "cbam", "gam")]
    new = [{"run": r, "mechanism": "cbam", "ms": 2} for r in (1, 2)]
    rows = speed.renewed(new, {"made": {"commit": "abc"}, "rows": old})
    assert [(r["run"], r["mechanism"], r["ms"], r.get("commit")) for r in rows] == [
        (run, m, ms, commit)
        for run in (1, 2)
        for m, ms, commit in (("se", 1, "abc"), ("cbam", 2, None), ("gam", 1, "abc"))
    ]


def test_the_record_is_complete_and_nothing_fails():
    """`make bench` writes it; a mechanism that is added, or a form that is slower, shows here."""
    record = records.read("speed")
    rows = record["rows"]
    assert {r["run"] for r in rows} == {1, 2}
    found = {
        (r["run"], r["mechanism"], tuple(r["size"]), r["module"], r["pass"], r["threads"])
        for r in rows
        if "same" in r and r["device"] == "cpu"
    }
    for threads in {r["threads"] for r in rows}:
        for case, peer in PAIRS:
            for size in case.sizes:
                for run in (1, 2):
                    for which in verdict.PASSES:
                        at = (run, case.mechanism, size, peer.package, which, threads)
                        assert at in found
    promises = verdict.promises(rows)
    assert record["promises"] == json.loads(json.dumps([p.data() for p in promises]))
    assert [str(p) for p in promises if p.state == "fails"] == []
    assert {"peer", "mean", "peak", "copies"} == {p.kind for p in promises}


def test_the_page_quotes_the_noise_of_the_record():
    """GAM's lowest and highest ratio stand in the text, in both languages."""
    promises = verdict.promises(records.read("speed")["rows"])
    values = [v for p in promises if p.kind == "peer" and p.mechanism == "gam" for v in p.values]
    page = (ROOT / "book" / "atlas" / "speed.md").read_text("utf-8")
    quoted = re.findall(r"between ([\d.]+) and ([\d.]+)\.|在 ([\d.]+) 到 ([\d.]+) 之间。", page)
    assert [tuple(filter(None, pair)) for pair in quoted] == [
        (f"{min(values):.2f}", f"{max(values):.2f}")
    ] * 2


def test_the_page_names_what_is_slower_at_other_sizes():
    """Shuffle attention at 14×14, by about a tenth, and nothing else."""
    slower = [
        (r["mechanism"], r["size"][2], r["ratio"])
        for r in records.read("speed")["rows"]
        if r["sizes"] == "growing" and r.get("same") and (r.get("ratio") or 1) < verdict.PEER
    ]
    assert {(mechanism, side) for mechanism, side, _ in slower} == {("shuffle", 14)}
    assert 0.85 <= min(ratio for _, _, ratio in slower) < 0.95


@pytest.mark.parametrize(
    ("name", "pattern"),
    [("README.md", r"([\d.]+) to ([\d.]+) times"), ("README.zh.md", r"([\d.]+) 到 ([\d.]+) 倍")],
)
def test_the_readme_quotes_the_record(name, pattern):
    """The means over the mechanisms, and that nobody is faster by more than the noise."""
    promises = verdict.promises(records.read("speed")["rows"])
    expected = []
    for which in verdict.PASSES:
        means = [v for p in promises if p.kind == "mean" and p.which == which for v in p.values]
        expected.append((f"{min(means):.1f}", f"{max(means):.1f}"))
    readme = (ROOT / name).read_text("utf-8")
    assert re.findall(pattern, readme) == expected
    assert {p.state for p in promises if p.kind in ("peer", "peak")} == {"holds"}
