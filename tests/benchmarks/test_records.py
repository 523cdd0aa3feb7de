"""Records are written in one form, with the conditions under which they were made."""

import json

import torch

from benchmarks import records


def test_round_trip(tmp_path):
    rows = [{"a": 1, "word": "注意力"}, {"a": 2.5, "word": None}]
    path = records.write("trial", "make trial", rows, folder=tmp_path, runs=2)
    record = records.read("trial", folder=tmp_path)
    assert record["rows"] == rows
    assert record["experiment"] == "trial"
    assert record["command"] == "make trial"
    assert record["runs"] == 2
    made = record["made"]
    assert made["torch"] == torch.__version__
    assert made["threads"] == torch.get_num_threads()
    assert {"date", "commit", "device", "allocator", "python"} <= made.keys()
    # One row a line, so that a diff says which ones changed.
    text = path.read_text("utf8")
    assert (
        sum(
            json.dumps(row, ensure_ascii=False) in line for row in rows for line in text.split("\n")
        )
        == 2
    )
