"""What each mechanism can see: the record is complete, true to its recipe, and its proofs hold."""

from __future__ import annotations

from pathlib import Path
from statistics import mean, stdev
from xml.etree import ElementTree

import pytest
import torch
from attnbook import sight as page
from attnbook import sight_why
from attnbook.prose import INLINE

import attnlib
from attnlib.lab.probes import SIZE, TASKS
from benchmarks import records, sight, sight_bounds, sight_checks

ROOT = Path(__file__).resolve().parents[2]
RECORD = records.read("sight")
CELLS = {(row["name"], row["task"]): row for row in RECORD["rows"]}
BOUNDS, CHECKS = records.read("sight-bounds"), records.read("sight-checks")


# --- the record -----------------------------------------------------------------------------------


def test_every_mechanism_is_measured_on_every_task():
    """Red after a mechanism or a task is added, until `make sight` has been run."""
    assert [f.mechanism for f in sight.forms() if not f.form] == [None, *attnlib.available()]
    assert list(CELLS) == [(f.name, t) for f in sight.forms() for t in TASKS]
    for form in sight.forms():
        for task in TASKS:
            row = CELLS[form.name, task]
            assert row["mechanism"] == form.mechanism
            assert row["options"] == form.options(sight.RECIPE["channels"])


def test_the_record_is_of_this_recipe():
    assert RECORD["recipe"] == {**sight.RECIPE, "seeds": list(sight.SEEDS)}
    assert RECORD["longer"] == sight.LONGER
    assert len(sight.SEEDS) >= 3
    assert list(RECORD["tasks"]) == list(TASKS)


@pytest.mark.parametrize("row", RECORD["rows"], ids=lambda r: f"{r['name']}-{r['task']}")
def test_rows_say_what_they_are_made_of(row):
    assert len(row["accuracies"]) == len(sight.SEEDS)
    assert row["mean"] == pytest.approx(mean(row["accuracies"]), abs=1e-4)
    assert row["spread"] == pytest.approx(stdev(row["accuracies"]), abs=1e-4)
    assert ("longer" in row) == sight.unsettled(row)


CHEAP = [("se", "many", 0.06), ("coordinate", "place", 0.03)]


@pytest.mark.parametrize(("name", "task", "tolerance"), CHEAP)
def test_a_cell_comes_out_again(name, task, tolerance):
    """On the machine of the record to the digit; elsewhere sums are rounded in another order."""
    form = next(f for f in sight.forms() if f.name == name)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        (again,) = sight.measure(form, task, seeds=sight.SEEDS[:1])["accuracies"]
    finally:
        torch.set_num_threads(threads)
    assert again == pytest.approx(CELLS[name, task]["accuracies"][0], abs=tolerance)


# --- what is proved -------------------------------------------------------------------------------


@pytest.mark.parametrize("form", sight.forms(), ids=lambda f: f.name)
def test_symmetries_are_as_recorded(form):
    build = form.factory()
    found = sight.symmetry(build(32) if build else None, 32)
    assert {CELLS[form.name, t]["symmetry"] for t in TASKS} == {found}
    for task in TASKS:
        assert CELLS[form.name, task]["cannot"] == (task in sight.CANNOT[found])


@pytest.mark.parametrize("task", ["place", "cross"])
def test_positions_that_look_alike_have_either_answer_equally_often(task):
    """So whoever commutes with every shuffle of the positions is right in exactly half of them."""
    x, y, mask = TASKS[task].sample(64, seed=0)
    for image, labels, asked in zip(x, y, mask, strict=True):
        assert len(image[:, asked].unique(dim=1).T) == 1
        assert int(labels[asked].sum()) * 2 == int(asked.sum())


@pytest.mark.parametrize(("task", "tolerance"), [("near", 0.01), ("order", 0)])
def test_all_images_hold_the_same_pixels(task, tolerance):
    """So whoever commutes with every shuffle gives one answer to all positions of all images."""
    x, y, mask = TASKS[task].sample(512, seed=0)
    sums = x.sum((2, 3))
    assert torch.equal(sums, sums[:1].expand_as(sums))
    assert len(x.movedim(1, -1)[mask].unique(dim=0)) == 1
    assert y[mask].float().mean() == pytest.approx(0.5, abs=tolerance)


def test_no_shuffle_of_lines_tells_left_from_right():
    """In ``order`` all images are the same up to shuffles of the lines, and so are all columns that
    are asked: there is one answer for the mark's row and one for the others."""
    x, y, mask = TASKS["order"].sample(512, seed=0)
    marked = x[:, 0].sum(2) > 0  # (B, H)
    assert (marked.sum(1) == 1).all()
    assert x[:, 0].sum(1, keepdim=True).expand_as(y)[mask].sum() == 0  # no mark in these columns
    for rows in (marked, ~marked):
        assert y[mask & rows[:, :, None]].float().mean() == 0.5


@pytest.mark.parametrize("row", [r for r in RECORD["rows"] if r["cannot"]],
                         ids=lambda r: f"{r['name']}-{r['task']}")  # fmt: skip
def test_what_cannot_be_seen_was_not_seen(row):
    exact = row["task"] in ("place", "cross", "order")
    assert row["accuracies"] == pytest.approx([0.5] * 3, abs=1e-4 if exact else 0.01)


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def counted(monkeypatch):
    """A small matrix, ``measure`` without training, and the list of the cells it was asked for."""
    asked, made, every = [], records.conditions(), sight.forms
    few = (None, "se", "gam", "channel")
    monkeypatch.setattr(sight, "forms", lambda: [f for f in every() if f.mechanism in few])
    monkeypatch.setattr(sight, "TASKS", {name: TASKS[name] for name in ("many", "order")})

    def measure(form, task, **changed):
        asked.append((form.name, task, changed))
        number = len(changed.get("seeds", sight.SEEDS))
        return {"accuracies": [0.7] * number, "seconds": 0.0}

    monkeypatch.setattr(sight, "measure", measure)
    monkeypatch.setattr(sight, "symmetry", lambda module, channels: "lines")
    monkeypatch.setattr(records, "conditions", lambda device="cpu": made)
    monkeypatch.setattr(torch, "set_num_threads", lambda n: None)
    return asked


def test_an_interrupted_run_goes_on(tmp_path, counted, capsys):
    sight.main([], tmp_path)
    complete = counted[:]
    longer = [cell for cell in complete if cell[2]]
    assert len(complete) - len(longer) == len(sight.forms()) * 2
    assert all(cell[2] == {"seeds": sight.SEEDS[:1], **sight.LONGER} for cell in longer)
    assert [cell[1] for cell in longer] == ["many"] * len(sight.forms())  # order is impossible

    record = records.read("sight", folder=tmp_path)
    counted.clear()
    sight.main([], tmp_path)
    assert not counted
    assert records.read("sight", folder=tmp_path)["rows"] == record["rows"]

    rows = [row for row in record["rows"] if (row["name"], row["task"]) != ("se", "many")]
    sight.store(rows, tmp_path)
    sight.main([], tmp_path)
    assert [cell[:2] for cell in counted] == [("se", "many")] * 2
    counted.clear()
    sight.main(["--again", "gam"], tmp_path)
    assert {cell[0] for cell in counted} == {"gam"}


def test_rows_of_another_recipe_or_form_are_measured_anew(tmp_path, counted, monkeypatch, capsys):
    sight.main([], tmp_path)
    counted.clear()
    monkeypatch.setitem(sight.OTHER_FORMS, "channel, authors' code", ("channel", {}))
    sight.main([], tmp_path)
    assert {cell[0] for cell in counted} == {"channel, authors' code"}
    counted.clear()
    monkeypatch.setitem(sight.RECIPE, "steps", 7)
    sight.main([], tmp_path)
    assert len({cell[:2] for cell in counted}) == len(sight.forms()) * 2


def test_rows_keep_the_conditions_they_were_measured_under(tmp_path, counted, monkeypatch, capsys):
    sight.main([], tmp_path)
    before = records.read("sight", folder=tmp_path)["made"]
    monkeypatch.setattr(records, "conditions", lambda device="cpu": {**before, "commit": "abcdef"})
    sight.main(["--again", "gam"], tmp_path)
    for row in records.read("sight", folder=tmp_path)["rows"]:
        assert row.get("commit") == (None if row["name"] == "gam" else before["commit"])


def test_a_new_mechanism_is_measured_by_the_same_rule(monkeypatch):
    """Nothing but the registry has to change when a chapter is added."""

    class Toy(attnlib.SqueezeExcitation):
        pass

    entry = attnlib.info("se")
    monkeypatch.setitem(attnlib.registry._REGISTRY, "toy", type(entry)("toy", Toy, entry.paper,
                        "se", entry.kind, entry.attends))  # fmt: skip
    form = sight.forms()[-1]
    assert form == sight.Form("toy", "toy")
    assert form.factory()(32).reduction == 32 // sight.WIDTH


# --- the images -----------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda t: t.name)
def test_samples_are_written_down_as_they_are(task):
    """The words of an image give back its planes and its answers."""
    sample = sight.sample(task)
    x, y, mask = (t[0] for t in task.sample(1, 5))
    assert RECORD["tasks"][task.name] == {
        "question": task.question, "ability": task.ability, **sample
    }  # fmt: skip
    for i, (line, answers) in enumerate(zip(sample["cells"], sample["answers"], strict=True)):
        for j, (cell, answer) in enumerate(zip(line.split(), answers.split(), strict=True)):
            assert answer == (str(int(y[i, j])) if mask[i, j] else ".")
            sign = {"+": 1, "-": -1}.get(cell[-1], 0)
            pixel = x[:, i, j].tolist()
            if task.name == "context":
                assert float(cell) == pytest.approx(pixel[0], abs=0.051)
            elif task.name in ("channel", "many"):
                expected = [0.0] * task.inputs
                expected["ABCDEFGH".index(cell[0]) + (0 if sign else task.inputs // 2)] = sign or 1
                assert pixel == expected
            elif task.name == "pair" and cell != ".":
                code = int(cell.rstrip("+-"))
                assert pixel == [(code >> k & 1) * 2.0 - 1 for k in range(6)] + [sign, sign == 0]
            elif task.name in ("cross", "near"):
                assert pixel[:2] == [sign == 1, sign == -1]
            elif task.name in ("place", "order"):
                assert pixel[0] == (cell == "#")


# --- the page -------------------------------------------------------------------------------------


def parsed(html: str) -> ElementTree.Element:
    return ElementTree.fromstring(f"<div>{html.replace(' data-sortable', '')}</div>")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_matrix(language):
    root = parsed(page.draw_table(RECORD, language, lambda name: f"../../{name}.html"))
    heads = ["".join(th.itertext()) for th in root.findall(".//thead//th")]
    assert heads[1:] == list(TASKS)
    rows = root.findall(".//tbody/tr")
    assert len(rows) == len(sight.forms())
    signs = {sign: words[language] for sign, words in page.OUTCOMES.values()}
    for form, tr in zip(sight.forms(), rows, strict=True):
        name = "".join(tr.find("th").itertext())
        assert name.startswith(form.mechanism or page.WORDS[language]["none"])
        for task, td in zip(TASKS, tr.findall("td"), strict=True):
            text = "".join(td.itertext())
            cell = CELLS[form.name, task]
            assert f"{100 * cell['mean']:.1f} ± {100 * cell['spread']:.1f}" in text
            assert text[1:].startswith(signs[text[0]])  # a word behind every sign
            assert ("longer" in cell) == (page.WORDS[language]["longer"] in text)
    if language == "zh":
        assert "authors" not in "".join(root.itertext())


@pytest.mark.parametrize("language", ["en", "zh"])
def test_pictures(language):
    root = parsed(page.draw_tasks(RECORD, language))
    figures = root.findall(".//figure")
    assert [f.get("id") for f in figures] == [f"sight-task-{task}" for task in TASKS]
    for figure, task in zip(figures, TASKS, strict=True):
        svg = figure.find("svg")
        assert svg.get("role") == "img"
        question, _, picture = page.TASKS[task][language]
        assert picture in svg.get("aria-label")
        assert question in "".join(figure.find("figcaption").itertext())
        answers = "".join(RECORD["tasks"][task]["answers"])
        drawn = svg.findall("circle") if task == "context" else svg.findall("rect")
        assert sum(r.get("class") != "ground" and r.get("class") != "mark" for r in drawn) == (
            answers.count("1") + answers.count("0")
        )


def test_outcomes():
    record = {**RECORD, "rows": [{"name": "none", "task": "place", "mean": 0.5}]}
    for accuracy, cannot, outcome in [
        (0.951, False, "solved"), (0.949, False, "partly"), (0.531, False, "partly"),
        (0.529, False, "nothing"), (0.5, True, "cannot"),
    ]:  # fmt: skip
        cell = {"task": "place", "mean": accuracy, "cannot": cannot}
        assert page.outcome(cell, record) == outcome
    slow = {"task": "place", "mean": 0.5, "cannot": False, "longer": {"accuracy": 0.96}}
    assert page.outcome(slow, record) == "late"
    slow["longer"]["accuracy"] = 0.6
    assert page.outcome(slow, record) == "partly"


def changed(name, against, task):
    keys = ("name", "against", "task")
    (row,) = [r for r in CHECKS["rows"] if tuple(r[k] for k in keys) == (name, against, task)]
    return row["mean"]


# --- what the page explains -----------------------------------------------------------------------


def test_bounds_are_recorded_for_every_limited_view():
    limited = [(m, t) for m, tasks in sight_bounds.LIMITED.items() for t in tasks]
    assert [(r["mechanism"], r["task"]) for r in BOUNDS["rows"]] == limited


def test_windows_by_hand():
    """A window of 7×7 holds 5 of the 11 other columns on average, and half of the rows; every
    fourth column holds 2 of the 11; a cross 22 of the 143 other positions."""
    found = {(r["mechanism"], r["task"]): r["bound"] for r in BOUNDS["rows"]}
    assert found["cbam", "place"] == pytest.approx(0.5 + 0.5 * 5 / 11, abs=0.003)
    assert found["cbam", "order"] == pytest.approx(0.75, abs=0.003)
    assert found["bam", "place"] == pytest.approx(0.5 + 0.5 * 2 / 11, abs=0.003)
    assert found["bam", "order"] == 0.5
    assert found["criss_cross", "pair"] == pytest.approx(0.5 + 0.5 * 22 / 143, abs=0.003)
    assert found["criss_cross", "many"] == pytest.approx(1 - 0.5 * (15 / 16) ** 22, abs=0.003)


@pytest.mark.parametrize("row", BOUNDS["rows"], ids=lambda r: f"{r['mechanism']}-{r['task']}")
def test_nobody_saw_more_than_its_view_holds(row):
    assert sight_why.reached(CELLS[row["mechanism"], row["task"]]) < row["bound"] + 0.01


def test_a_bound_comes_out_again(monkeypatch):
    monkeypatch.setattr(sight_bounds, "IMAGES", 1024)
    (row,) = [r for r in BOUNDS["rows"] if (r["mechanism"], r["task"]) == ("cbam", "cross")]
    assert sight_bounds.bound("cbam", "cross") == pytest.approx(row["bound"], abs=0.02)


def test_checks_are_complete():
    named = [(r["name"], r["against"]) for r in CHECKS["rows"]]
    assert named == [(c.name, c.against) for c in sight_checks.CHECKS]
    assert CHECKS["recipe"] == RECORD["recipe"]


@pytest.mark.parametrize("check", sight_checks.CHECKS, ids=lambda c: f"{c.name}-{c.against}")
def test_a_check_computes_something_else(check):
    """A class that overrides what ``forward`` does not call would check nothing."""
    form = next(f for f in sight.forms() if f.name == check.against)
    if check.task is sight_checks.EIGHT or check.name == "started looking around":
        return  # another task, other starting weights: the function is the same
    x = torch.randn(4, 32, SIZE, SIZE)
    torch.manual_seed(0)
    plain = form.factory()(32)
    torch.manual_seed(0)
    other = check.factory(32)
    for module in (plain, other):
        if hasattr(module, "gamma"):
            torch.nn.init.ones_(module.gamma)
    assert not torch.equal(plain(x), other(x))


def test_causes_are_causes():
    """What the page says of each change, as relations that another machine keeps too."""
    for name, against, task, least in [
        ("window of 23", "cbam", "place", 0.2),
        ("no dilation", "bam", "near", 0.4),
        ("means as scores", "channel", "context", 0.2),
        ("started looking around", "multihead, with positions", "near", 0.4),
        ("no bottleneck", "se", "many", 0.05),
        ("squeeze normalised", "se", "many", 0.1),
        ("both", "se", "many", 0.25),
        ("eight pairs", "channel", "pair", 0.1),
        ("no maximum", "cbam", "context", 0.0),
    ]:
        assert changed(name, against, task) > CELLS[against, task]["mean"] + least, name
    without = changed("no normalisation", "psa_parallel", "many")
    assert without < CELLS["psa_parallel", "many"]["mean"] - 0.1


@pytest.mark.parametrize("language", ["en", "zh"])
def test_tables_of_reasons(language):
    for draw, record in [(sight_why.draw_bounds, BOUNDS), (sight_why.draw_checks, CHECKS)]:
        rows = parsed(draw(record, RECORD, language)).findall(".//tbody/tr")
        assert len(rows) == len(record["rows"])
        for tr, row in zip(rows, record["rows"], strict=True):
            words = "".join(tr.itertext())
            assert row["task"] in words
            assert f"{100 * row.get('bound', row.get('mean')):.1f}" in words


def test_every_mechanism_that_the_page_names_is_in_the_matrix():
    text = (ROOT / "book/atlas/sight.md").read_text("utf8")
    named = {m[0].strip("`") for m in INLINE.finditer(text) if m[0].startswith("`")}
    assert named & set(attnlib.available())
    known = {*attnlib.available(), *TASKS}
    assert {n for n in named if n.isidentifier() and n.islower()} <= known
