"""Pictures: fair trainings, pictures that are what they should be, a record that is whole."""

import dataclasses
import hashlib
import io
import json
import re
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from attnbook import pictures as pages
from attnbook import records as book_records
from attnbook.published import chapters_of

import attnlib
from benchmarks import pictures, pictures_data, pictures_followup, records
from benchmarks.paired import interval
from benchmarks.pictures import FIRST_SEED, PLACEBO, SETTINGS
from benchmarks.pictures_data import Archive, DataError, Pictures
from benchmarks.pictures_hosts import HOSTS, OPTIONS, with_attention

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "book/atlas/pictures.md").read_text("utf8")
SMALL = dataclasses.replace(SETTINGS["digits"], seeds=2, per_class=5, epochs=1)


# --- the pictures ---------------------------------------------------------------------------------


def test_digits_are_split_anew_by_each_seed():
    digits = pictures_data.digits()
    assert digits.images.shape == (1797, 1, 8, 8)
    assert (digits.images.min(), digits.images.max()) == (0, 1)
    training, test = pictures_data.split(digits, 20, 3)
    assert Counter(training.labels.tolist()) == dict.fromkeys(range(10), 20)
    assert len(training) + len(test) == len(digits)
    again, _ = pictures_data.split(digits, 20, 3)
    other, _ = pictures_data.split(digits, 20, 4)
    assert torch.equal(training.images, again.images)
    assert not torch.equal(training.images, other.images)


def test_no_picture_is_in_both_parts():
    numbered = Pictures(torch.arange(60.0).reshape(60, 1, 1, 1), torch.arange(60) % 10)
    training, test = pictures_data.split(numbered, 2, 0)
    parts = [set(p.images.flatten().tolist()) for p in (training, test)]
    assert parts[0] | parts[1] == set(range(60))
    assert not parts[0] & parts[1]


def some_records(count, seed):
    """Records as CIFAR-10 has them: a label, then three planes of 32 × 32."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 10, (count, 1))
    return np.concatenate([labels, generator.integers(0, 256, (count, 3072))], 1).astype(np.uint8)


def archive_of(members, folder):
    """A .tar.gz of these members, and the ``Archive`` that describes it by a file address."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "cifar-10-binary.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return Archive(path.as_uri(), hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.fixture
def members():
    names = (*pictures_data.TRAIN, *pictures_data.TEST)
    return {name: some_records(4, i).tobytes() for i, name in enumerate(names)}


def test_cifar10_is_downloaded_checked_and_read(tmp_path, members):
    archive = archive_of(members, tmp_path / "far")
    training, test = pictures_data.cifar10(tmp_path / "near", archive)
    assert training.images.shape == (20, 3, 32, 32)
    assert test.images.shape == (4, 3, 32, 32)
    assert [p.name for p in (tmp_path / "near").iterdir()] == ["cifar-10-binary.tar.gz"]
    raw = some_records(4, 2)[1]  # the second record of data_batch_3.bin
    assert training.labels[9] == raw[0]
    # Red, row 1, column 2 is byte 1 + 32 + 2; blue follows after two planes.
    assert training.images[9, 0, 1, 2] == pytest.approx(raw[1 + 32 + 2] / 255)
    assert training.images[9, 2, 0, 0] == pytest.approx(raw[1 + 2 * 1024] / 255)


def test_cifar10_is_not_downloaded_twice(tmp_path, members):
    archive = archive_of(members, tmp_path / "far")
    pictures_data.cifar10(tmp_path / "near", archive)
    (tmp_path / "far" / archive.name).unlink()
    training, _ = pictures_data.cifar10(tmp_path / "near", archive)
    assert len(training) == 20


def test_a_download_that_was_cut_short_leaves_nothing_behind(tmp_path, members):
    archive = archive_of(members, tmp_path / "far")
    path = tmp_path / "far" / archive.name
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"not the file expected.*cut short"):
        pictures_data.cifar10(tmp_path / "near", archive)
    assert not list((tmp_path / "near").iterdir())


def test_a_file_that_was_damaged_later_is_named(tmp_path, members):
    archive = archive_of(members, tmp_path / "far")
    path = pictures_data.fetch(archive, tmp_path / "near")
    content = bytearray(path.read_bytes())
    content[50] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"cifar-10-binary.tar.gz is damaged.*Delete it"):
        pictures_data.cifar10(tmp_path / "near", archive)


def test_no_network_is_said_plainly(tmp_path):
    archive = Archive((tmp_path / "nowhere.tar.gz").as_uri(), "0" * 64)
    with pytest.raises(DataError, match=r"cannot be downloaded.*put the file into"):
        pictures_data.cifar10(tmp_path / "near", archive)


def test_no_archive_at_all(tmp_path):
    path = tmp_path / "cifar-10-binary.tar.gz"
    path.write_bytes(b"<html>please log in</html>")
    archive = Archive(path.as_uri(), hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(DataError, match="cannot be unpacked"):
        pictures_data.cifar10(tmp_path / "near", archive)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (pictures_data.TEST[0], None, r"holds no file cifar-10-batches-bin/test_batch.bin"),
        (pictures_data.TRAIN[1], b"\0" * 3072, r"data_batch_2.bin is cut short: 3072 bytes"),
        (pictures_data.TRAIN[2], b"", r"data_batch_3.bin is cut short: 0 bytes"),
        (pictures_data.TRAIN[0], b"\x0b" + b"\0" * 3072, "holds the label 11"),
    ],
)
def test_wrong_contents_are_named(tmp_path, members, name, content, message):
    members = {k: v for k, v in members.items() if k != name}
    if content is not None:
        members[name] = content
    archive = archive_of(members, tmp_path / "far")
    with pytest.raises(DataError, match=message):
        pictures_data.cifar10(tmp_path / "near", archive)


def test_the_real_archive_is_named_in_full():
    assert re.fullmatch(r"[0-9a-f]{64}", pictures_data.CIFAR10.sha256)
    assert pictures_data.CIFAR10.url.endswith("/cifar-10-binary.tar.gz")


# --- the hosts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("mechanism", attnlib.available())
def test_every_mechanism_fits_in_every_host_and_leaves_its_weights(host, mechanism):
    plain = with_attention(host, None, in_channels=1, width=16, seed=7)
    model = with_attention(host, mechanism, in_channels=1, width=16, seed=7)
    where = [i.after for i in attnlib.inserted(model)]
    blocks = [b for b in plain.blocks if b.has_shortcut]
    assert where == plain.places()
    assert len(where) == len(blocks) >= 3
    theirs = model.state_dict()
    assert all(torch.equal(value, theirs[key]) for key, value in plain.state_dict().items())
    assert model(torch.randn(2, 1, 8, 8)).shape == (2, 10)


def test_options_are_for_mechanisms_that_there_are():
    for key, options in OPTIONS.items():
        assert set(options) <= set(attnlib.info(key).options)


def test_hosts_are_what_they_are_called():
    def kinds(name):
        host = with_attention(name, None, in_channels=1, width=16, seed=0)
        return [m.groups for m in host.modules() if isinstance(m, torch.nn.Conv2d)]

    assert any(groups > 1 for groups in kinds("light"))
    assert all(groups == 1 for groups in kinds("resnet"))


# --- the training ---------------------------------------------------------------------------------


def test_shift_moves_by_whole_pixels_and_brings_in_black():
    setting = dataclasses.replace(SMALL, shift=2, flip=False)
    image = torch.arange(1.0, 26).reshape(1, 1, 5, 5).expand(200, 1, 5, 5)
    found = pictures.moved(image, setting, torch.Generator().manual_seed(0))
    expected = {
        tuple(
            torch.nn.functional.pad(image[0, 0], [2] * 4)[y : y + 5, x : x + 5].flatten().tolist()
        )
        for y in range(5)
        for x in range(5)
    }
    assert {tuple(i.flatten().tolist()) for i in found} == expected


def test_flip_mirrors_half_of_the_pictures():
    setting = dataclasses.replace(SMALL, shift=0, flip=True)
    image = torch.arange(12.0).reshape(1, 3, 2, 2).expand(400, 3, 2, 2)
    found = pictures.moved(image, setting, torch.Generator().manual_seed(0))
    mirrored = [torch.equal(i, image[0].flip(2)) for i in found]
    assert all(m or torch.equal(i, image[0]) for m, i in zip(mirrored, found, strict=True))
    assert 150 < sum(mirrored) < 250


def test_a_training_is_the_same_each_time_and_learns():
    setting = dataclasses.replace(SMALL, per_class=20, epochs=6)
    data = pictures.load(setting, Path())
    first, again = (pictures.train("resnet", "se", 0, setting, data) for _ in range(2))
    assert first == again
    assert first["accuracy"] > 60  # ten classes
    assert pictures.train("resnet", "se", 1, setting, data) != {**first, "seed": 1}


def test_placebo_is_the_host_from_other_weights():
    plain, placebo = (pictures.started("light", m, 5, 1, 16) for m in (None, PLACEBO))
    assert [*plain.state_dict()] == [*placebo.state_dict()]
    assert not torch.equal(plain.classifier.weight, placebo.classifier.weight)


@pytest.fixture
def few(monkeypatch, tmp_path):
    """Two mechanisms, a folder of its own, and a note of every training that is done."""
    monkeypatch.setattr(attnlib, "available", lambda: ("se", "eca", "coordinate", "gam"))
    monkeypatch.setattr(pictures, "PARTIAL", tmp_path)
    monkeypatch.setattr(records, "FOLDER", tmp_path)
    done = []
    train = pictures.train

    def noted(host, mechanism, seed, *more):
        done.append((host, mechanism, seed))
        return train(host, mechanism, seed, *more)

    monkeypatch.setattr(pictures, "train", noted)
    return done


def test_an_interrupted_run_goes_on(few, tmp_path):
    setting = dataclasses.replace(SMALL, seeds=1)
    rows = pictures.run(setting, tmp_path)
    assert len(few) == len(rows) == 2 * 6
    path = tmp_path / "pictures.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:5]) + "\n")  # as if it had stopped after four trainings
    few.clear()
    assert pictures.run(setting, tmp_path) == rows
    assert len(few) == 8
    few.clear()
    more = pictures.run(dataclasses.replace(setting, seeds=2), tmp_path)
    assert len(few) == 12
    assert more[:12] == rows
    few.clear()
    pictures.run(dataclasses.replace(setting, learning_rate=0.5), tmp_path)
    assert len(few) == 12  # another recipe begins anew


def test_the_record_of_a_small_run(few, tmp_path, monkeypatch):
    monkeypatch.setattr(
        records, "write", lambda *a, **k: real_write(*a, **{**k, "folder": tmp_path})
    )
    rows = pictures.run(SMALL, tmp_path)
    path = pictures.record(SMALL, rows, tmp_path, "cpu")
    record = json.loads(path.read_text())
    assert path.name == "pictures.json"
    assert record["pictures"] == {"size": [1, 8, 8], "training": 50, "test": 1747}
    assert_whole(record)
    for language in ("en", "zh"):
        pages.chart(record, language)


real_write = records.write


def test_cifar10_runs_through_from_archive_to_page(few, tmp_path, monkeypatch, members):
    """The whole way that a reader with a network goes, with 24 pictures in place of 60,000."""
    archive = archive_of(members, tmp_path / "far")
    monkeypatch.setattr(pictures_data, "cifar10", lambda folder: real_cifar10(folder, archive))
    small = dataclasses.replace(SETTINGS["cifar10"], seeds=2, width=16, epochs=1, batch_size=10)
    monkeypatch.setattr(pictures, "SETTINGS", {"cifar10": small})
    monkeypatch.setattr(
        records, "write", lambda *a, **k: real_write(*a, **{**k, "folder": tmp_path})
    )
    options = ["--data", "cifar10", "--folder", str(tmp_path / "near"), "--device", "cpu"]
    assert pictures.main(options) == 0
    assert not (tmp_path / "pictures_cifar10.jsonl").exists()  # the next run begins anew
    (tmp_path / book_records.FOLDER).mkdir(parents=True)
    (tmp_path / "pictures_cifar10.json").replace(
        tmp_path / book_records.FOLDER / "pictures_cifar10.json"
    )
    (tmp_path / "book").mkdir()
    (tmp_path / "book/catalogue.json").write_text((ROOT / "book/catalogue.json").read_text())
    html = pages.cifar10(tmp_path, "en")
    assert "CIFAR-10" in html
    assert "20 to train with, the other 4" in html
    assert "mirrored" in html


real_cifar10 = pictures_data.cifar10


def test_a_failed_download_ends_with_its_message(few, tmp_path, monkeypatch, capsys):
    nowhere = Archive((tmp_path / "nowhere.tar.gz").as_uri(), "0" * 64)
    monkeypatch.setattr(pictures_data, "cifar10", lambda folder: real_cifar10(folder, nowhere))
    assert pictures.main(["--data", "cifar10", "--folder", str(tmp_path / "near")]) == 1
    assert "cannot be downloaded" in capsys.readouterr().err


# --- the record -----------------------------------------------------------------------------------


def assert_whole(record):
    """Every mechanism × host × seed once, and figures that follow from the rows."""
    setting, rows = record["setting"], record["rows"]
    seeds = range(FIRST_SEED, FIRST_SEED + setting["seeds"])
    mechanisms = [None, PLACEBO, *attnlib.available()]
    found = Counter((r["host"], r["mechanism"], r["seed"]) for r in rows)
    assert found == {(h, m, s): 1 for h in HOSTS for m in mechanisms for s in seeds}
    assert record["options"] == OPTIONS
    counted = {(c["host"], c["mechanism"]) for c in record["counts"]}
    assert counted == {(h, m) for h in HOSTS for m in (None, *attnlib.available())}
    assert record["summary"] == pictures.summary(rows)
    assert record["judgements"] == pictures.judgements(rows)


@pytest.fixture(scope="module")
def record():
    return records.read("pictures")


def test_record_is_whole(record):
    assert record["setting"] == dataclasses.asdict(SETTINGS["digits"])
    assert_whole(record)
    assert not record["made"]["commit"].endswith("+")


def test_summary_by_another_way(record):
    """The figures of the page, from the rows, without the code that made them."""
    values = {
        (host, mechanism): np.array(
            [
                r["accuracy"]
                for r in sorted(record["rows"], key=lambda r: r["seed"])
                if (r["host"], r["mechanism"]) == (host, mechanism)
            ]
        )
        for host in HOSTS
        for mechanism in (None, PLACEBO, *attnlib.available())
    }
    for line in record["summary"]:
        mine = values[line["host"], line["mechanism"]]
        assert line["mean"] == pytest.approx(mine.mean(), abs=6e-4)
        assert line["sd"] == pytest.approx(mine.std(ddof=1), abs=6e-4)
        if line["mechanism"] is None:
            continue
        gain = mine - values[line["host"], None]
        assert line["difference"] == pytest.approx(gain.mean(), abs=6e-4)
        expected = interval(list(gain), comparisons=2 * (1 + len(attnlib.available())))
        assert line["low_together"] == pytest.approx(expected.low, abs=6e-4)
        assert line["high_together"] == pytest.approx(expected.high, abs=6e-4)
        kind = line["verdict"]
        assert (kind == "noise") == (line["low"] <= 0 <= line["high"])
        assert (kind in ("better", "worse")) == (
            line["low_together"] > 0 or line["high_together"] < 0
        )


def test_counts_are_the_librarys(record, monkeypatch):
    few = ("se", "gam", "ccnet")
    monkeypatch.setattr(attnlib, "available", lambda: few)
    counted = [c for c in record["counts"] if c["mechanism"] in (None, *few)]
    assert counted == pictures.counts(SETTINGS["digits"], 1, 8)


# --- the page -------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("name", pages.DIRECTIVES)
def test_directive_draws_in_its_language(name, language):
    html = pages.DIRECTIVES[name](ROOT, language)
    assert html.count("<table") == html.count("</table>")
    chinese = re.search(r"[\u4e00-\u9fff]", html)
    assert bool(chinese) == (language == "zh")


def test_table_has_a_line_for_each_host_and_mechanism(record):
    html = pages.table(record, chapters_of(ROOT), "en")
    assert html.count("<tr>") == 1 + len(record["summary"])
    for key in attnlib.available():
        assert html.count(f"<code>{key}</code>") == 2
    for line in record["summary"]:
        assert f"{line['mean']:.2f}" in html


def test_chart_has_a_mark_for_each_difference(record):
    html = pages.chart(record, "en")
    pairs = len(record["summary"]) - 2
    assert html.count('class="outer') == 2 * pairs  # drawn wide and narrow
    assert "34" in html  # comparisons read together


def test_text_says_what_was_recorded(record):
    """The numbers in the prose, from the record; each stands in both languages."""
    lines = {(line["host"], line["mechanism"]): line for line in record["summary"]}
    compared = [line for (_, m), line in lines.items() if m not in (None, PLACEBO)]
    verdicts = Counter(line["verdict"] for line in compared)
    assert (len(compared), verdicts["noise"], verdicts["hint"]) == (32, 17, 12)
    assert {(h, m) for (h, m), line in lines.items() if line.get("verdict") == "worse"} == {
        ("light", "multihead"),
        ("resnet", "multihead"),
        ("resnet", "cbam"),
    }
    hints = [line for line in compared if line["verdict"] == "hint"]
    assert [(h["host"], h["mechanism"]) for h in hints if h["difference"] > 0] == [("light", "gam")]
    assert sum(h["difference"] < 0 for h in compared if h["host"] == "resnet") == 15
    placebo = [lines[host, PLACEBO] for host in HOSTS]
    assert [pages.signed(p["difference"]) for p in placebo] == ["−0.18", "+0.04"]
    assert [round((p["high"] - p["low"]) / 2, 1) for p in placebo] == [0.8, 0.7]

    gap = {m: lines["light", m]["difference"] - lines["resnet", m]["difference"] for _, m in lines
           if m not in (None, PLACEBO)}  # fmt: skip
    assert sum(g > gap["coordinate"] for g in gap.values()) == 5
    assert lines["resnet", "coordinate"]["verdict"] == "hint"
    asked = {j["question"]: j["verdict"] for j in record["judgements"]}
    assert asked == {
        "coordinate, light minus resnet": "noise",
        "gam minus se, light": "better",
        "gam minus se, resnet": "noise",
    }
    counts = {(c["host"], c["mechanism"]): c for c in record["counts"]}
    for host, times in (("light", "35"), ("resnet", "2.5")):
        for what in ("parameters", "macs"):
            found = counts[host, "gam"][what] / counts[host, None][what]
            assert f"{found:.2g}" == times
    means = {m: line["mean"] for (h, m), line in lines.items() if h == "light"}
    assert max(means, key=lambda m: means[m]) == "gam"
    for said in ("32 ", "17 ", "12 ", "−0.18", "+0.04", "34 ", "15 ", "16 ", "35", "2.5"):
        for text in PAGE.split('"lang-zh"'):
            assert said in text, said


def test_followup_is_whole_and_says_what_the_text_says(record):
    after = records.read("pictures_followup")
    seeds = range(FIRST_SEED, FIRST_SEED + record["setting"]["seeds"])
    variants = [
        ("statistics", "none"),
        ("statistics", "cbam"),
        ("wider", "none"),
        ("beside", "multihead"),
    ]
    found = Counter((r["question"], r["variant"], r["host"], r["seed"]) for r in after["rows"])
    assert found == {(*v, h, s): 1 for v in variants for h in HOSTS for s in seeds}
    assert after["answers"] == pictures_followup.answers(after["rows"], record["rows"])

    gains = {(a["question"], a["host"]): a for a in after["answers"]}
    before = {(line["host"], line["mechanism"]): line for line in record["summary"]}
    said = {
        **{before[h, m]["difference"]: None for h in HOSTS for m in ("cbam", "multihead")},
        **{gains[q, h]["difference"]: None for h in HOSTS for q in ("statistics", "beside")},
    }
    numbers = [pages.signed(value) for value in said]
    numbers += [f"{gains['wider', 'light']['difference']:.2f}"]
    numbers += [f"{-gains['gam or wider', 'resnet']['difference']:.2f}"]
    for number in numbers:
        for text in PAGE.split('"lang-zh"'):
            assert number in text, number
    assert gains["gam or wider", "light"]["verdict"] == "noise"
    for host in HOSTS:
        share = 1 - gains["statistics", host]["difference"] / before[host, "cbam"]["difference"]
        assert share == pytest.approx(2 / 3, abs=0.05)


def test_followup_takes_as_many_operations_as_gam(record):
    counted = {(c["host"], c["mechanism"]): c["macs"] for c in record["counts"]}
    rows = records.read("pictures_followup")["rows"]
    for host, width in {(r["host"], r["width"]) for r in rows if "width" in r}:
        narrower, wide = (pictures_followup.macs(host, None, w) for w in (width - 1, width))
        assert narrower < counted[host, "gam"] <= wide


def test_statistics_are_those_of_the_training_pictures():
    digits = pictures_data.digits()[torch.arange(40)]
    model = with_attention("light", "cbam", in_channels=1, width=16, seed=0)
    pictures_followup.take_statistics(model, digits, 40)  # one batch: its statistics exactly
    mean, std = pictures.scale(digits)
    x = (digits.images - mean) / std
    with torch.no_grad():
        theirs = model.stem[0](x)
    assert torch.allclose(model.stem[1].running_mean, theirs.mean((0, 2, 3)), atol=1e-5)


def test_beside_adds_the_input():
    model = with_attention("resnet", "multihead", in_channels=1, width=16, seed=0).eval()
    x = torch.randn(2, 1, 8, 8)
    before = model(x)
    for insertion in attnlib.inserted(model):
        model.set_submodule(insertion.path, pictures_followup.Beside(insertion.module))
    assert not torch.allclose(model(x), before)
    inner = pictures_followup.Beside(torch.nn.ReLU())
    assert torch.equal(inner(x), x + x.relu())


def test_what_is_not_recorded_is_said_with_its_command(tmp_path):
    for language in ("en", "zh"):
        html = pages.cifar10(tmp_path, language)
        assert f"<code>{SETTINGS['cifar10'].command}</code>" in html
