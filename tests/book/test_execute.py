"""Chapters run when their code changed, and only then; what they leave is clean and repeatable."""

import json
from pathlib import Path

import pytest
from attnbook import execute, notebooks
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from nbformat.v4 import new_output


def edit(mini, old, new):
    path = notebooks.source_path(mini, "demo")
    text = path.read_text("utf8")
    assert old in text
    path.write_text(text.replace(old, new), "utf8")


def pair(mini):
    return json.loads(notebooks.pair_path(mini, "demo").read_text("utf8"))


def test_an_untouched_chapter_is_left_alone(mini):
    before = notebooks.pair_path(mini, "demo").read_bytes()
    assert execute.update(mini, "demo") is None
    assert notebooks.pair_path(mini, "demo").read_bytes() == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("We add and divide", "We divide and add"),
        ("en: One dot.", "en: A dot."),
        (":tags: [hide-cell]", ":tags: [hide-input]"),
        ("en: One mean, and what", "en: A mean, and what"),
    ],
)
def test_new_prose_is_taken_over_and_outputs_stay(mini, old, new):
    before = pair(mini)
    edit(mini, old, new)
    assert execute.update(mini, "demo") == "prose"
    after = pair(mini)
    assert after != before
    for mine, theirs in zip(after["cells"], before["cells"], strict=True):
        assert mine.get("outputs") == theirs.get("outputs")
        assert mine.get("execution_count") == theirs.get("execution_count")
    assert after["metadata"]["attnbook"] == before["metadata"]["attnbook"]
    assert execute.update(mini, "demo") is None


def test_changed_code_runs_and_says_where(mini):
    edit(mini, "print(z)", 'print(f"{z:.2f}")')
    assert execute.update(mini, "demo") == "code"
    texts = [o["text"] for c in pair(mini)["cells"] for o in c.get("outputs", []) if "text" in o]
    assert "3.00\n" in texts
    record = pair(mini)["metadata"]["attnbook"]
    assert set(record) == {
        "torch", "python", "device", "threads", "system", "seconds",
        "date", "commit", "library_changed_since",
    }  # fmt: skip
    assert 1 < record["seconds"] < 60
    assert len(pair(mini)["cells"]) == len(
        notebooks.read_source(notebooks.source_path(mini, "demo")).cells
    )


def test_the_seconds_are_those_of_the_kernel(mini):
    """Busy time counts, waiting does not."""
    before = pair(mini)["metadata"]["attnbook"]["seconds"]
    busy = "import time; begin = time.process_time()\nwhile time.process_time() - begin < 6: pass"
    edit(mini, "print(z)", f"{busy}\nprint(z)")
    execute.update(mini, "demo")
    assert pair(mini)["metadata"]["attnbook"]["seconds"] > before + 3
    edit(mini, busy, "import time; time.sleep(6)")
    execute.update(mini, "demo")
    assert pair(mini)["metadata"]["attnbook"]["seconds"] < before + 3


def test_two_runs_leave_the_same_notebook(mini):
    def steady(notebook):
        tags = [cell["metadata"].get("tags", []) for cell in notebook["cells"]]
        cells = zip(tags, notebook["cells"], strict=True)
        return [cell for tags, cell in cells if "nbval-ignore-output" not in tags]

    def metadata(notebook):
        record = {**notebook["metadata"]["attnbook"], "seconds": None}
        return {**notebook["metadata"], "attnbook": record}

    first = pair(mini)
    execute.update(mini, "demo", always=True)
    assert steady(pair(mini)) == steady(first)
    assert metadata(pair(mini)) == metadata(first)


def test_the_environment_of_a_run(mini):
    edit(
        mini,
        "print(z)",
        'import os, attnlib; print(os.environ["PYTHONHASHSEED"], os.environ["ONEDNN_MAX_CPU_ISA"])',
    )
    execute.update(mini, "demo")
    assert "0 AVX512_CORE_BF16\n" in json.dumps(pair(mini)).replace("\\n", "\n")


def test_an_error_stops_and_leaves_the_pair(mini, capsys):
    before = notebooks.pair_path(mini, "demo").read_bytes()
    edit(mini, "print(z)", "print(unknown_name)")
    with pytest.raises(CellExecutionError, match="unknown_name"):
        execute.update(mini, "demo")
    assert execute.main(["--root", str(mini)]) == 1
    assert "demo: FAILED" in capsys.readouterr().out
    assert notebooks.pair_path(mini, "demo").read_bytes() == before


def test_outputs_hold_no_paths_of_the_machine():
    root = Path("/home/someone/book")
    text = (
        "/home/someone/book/attnlib/lab/cost.py:3 /x/lib/python3.11/site-packages/torch/nn.py:1 "
        "/tmp/ipykernel_12/345.py:2 https://example.org/a <A at 0x7f3a5c0d1e20>"
    )
    outputs = [
        NotebookNode(new_output("stream", name="stdout", text="a\n")),
        NotebookNode(new_output("stream", name="stdout", text=text)),
        NotebookNode(new_output("display_data", data={"text/html": [text]})),
    ]
    stream, display = execute.clean(outputs, root)
    clean = "attnlib/lab/cost.py:3 torch/nn.py:1 cell:2 https://example.org/a <A at 0x00000000>"
    assert stream.text == f"a\n{clean}"
    assert display.data["text/html"] == [clean]


def test_cell_ids_come_from_what_cells_say(mini):
    ids = [cell.id for cell in notebooks.read_source(notebooks.source_path(mini, "demo")).cells]
    assert len(set(ids)) == len(ids)
    edit(mini, "We add and divide", "We divide and add")
    changed = [cell.id for cell in notebooks.read_source(notebooks.source_path(mini, "demo")).cells]
    assert sum(a != b for a, b in zip(ids, changed, strict=True)) == 1
