"""Plots: the numbers that are drawn are the numbers that were given."""

import io
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from PIL import Image

from attnlib.lab import plots


def image_of(ax):
    """The array behind the last image drawn on these axes."""
    return np.asarray(ax.images[-1].get_array())


# Pictures and features.


@pytest.mark.parametrize("name", ["china", "flower"])
def test_picture_is_a_batch_of_one_in_the_unit_range(name):
    x = plots.picture(name, 64)
    assert x.shape == (1, 3, 64, 64)
    assert x.dtype == torch.float32
    assert x.min() >= 0
    assert x.max() <= 1
    assert x.std() > 0.1
    assert torch.equal(x, plots.picture(name, 64))


def test_picture_is_cut_from_the_middle_and_not_stretched():
    from sklearn.datasets import load_sample_image

    full = torch.tensor(load_sample_image("china.jpg")).permute(2, 0, 1) / 255  # (3, 427, 640)
    tall = plots.picture("china", (427, 100))
    assert torch.allclose(tall[0], full[:, :, 270:370], atol=1e-6)
    assert plots.picture("china", (30, 60)).shape == (1, 3, 30, 60)


def test_a_picture_does_not_wait_for_scikit_learn():
    """Importing it takes longer than many a chapter's own computations."""
    code = "import attnlib.lab, sys; attnlib.lab.plots.picture(); print('sklearn' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


def test_without_scikit_learn_there_is_no_picture(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ModuleNotFoundError, match="come with scikit-learn"):
        plots.picture()


def test_the_flower_is_a_flower():
    middle = plots.picture("flower", 32)[0, :, 8:24, 8:24].mean((1, 2))
    assert middle[0] > middle[2]  # orange petals


@pytest.mark.parametrize(("name", "size"), [("cat", 64), ("china", 0), ("china", (8, -1))])
def test_no_such_picture(name, size):
    with pytest.raises(ValueError, match=r"'china' and a picture 'flower'|size must be positive"):
        plots.picture(name, size)


class TestFeatures:
    def test_shape_range_and_names(self):
        x = plots.features(plots.picture("china", 48), 20)
        assert x.shape == (1, 20, 48, 48)
        assert torch.equal(x.amin((2, 3)), torch.zeros(1, 20))
        assert torch.allclose(x.amax((2, 3)), torch.ones(1, 20))
        assert len(set(plots.feature_names(20))) == 20

    def test_more_channels_continue_the_same_bank(self):
        image = plots.picture("flower", 32)
        assert torch.equal(plots.features(image, 5), plots.features(image, 12)[:, :5])

    @staticmethod
    def strongest(image, kind, among):
        names = plots.feature_names(8)
        x = plots.features(image, 8)[0]
        return max(among, key=lambda n: x[names.index(n)].std().item()) == kind

    def test_edges_know_their_direction(self):
        stripes = torch.zeros(1, 3, 32, 32)
        stripes[..., ::8, :] = stripes[..., 1::8, :] = stripes[..., 2::8, :] = 1
        edges = ["edge H 1", "edge V 1", "edge D 1"]
        assert self.strongest(stripes, "edge H 1", edges)
        assert self.strongest(stripes.transpose(2, 3), "edge V 1", edges)

    @pytest.mark.parametrize(("channel", "name"), [(0, "red 1"), (1, "green 1"), (2, "blue 1")])
    def test_colours_know_their_channel(self, channel, name):
        image = torch.full((1, 3, 32, 32), 0.2)
        image[:, channel, 8:16, 8:16] = 0.9
        x = plots.features(image, 8)[0, plots.feature_names(8).index(name)]
        assert x[9:15, 9:15].min() > 0.5
        assert x[24:, 24:].max() < 0.01
        assert self.strongest(image, name, ["red 1", "green 1", "blue 1"])

    def test_a_featureless_picture_has_no_features(self):
        assert plots.features(torch.full((1, 3, 16, 16), 0.5), 16).abs().max() == 0

    def test_pictures_of_a_batch_do_not_mix(self):
        a, b = plots.picture("china", 24), plots.picture("flower", 24)
        both = plots.features(torch.cat([a, b]), 10)
        assert torch.allclose(both[1:], plots.features(b, 10), atol=1e-6)

    def test_bad_arguments(self):
        with pytest.raises(ValueError, match=r"\(B, 3, H, W\), got \(3, 8, 8\)"):
            plots.features(torch.rand(3, 8, 8))
        with pytest.raises(ValueError, match="channels must be positive"):
            plots.features(torch.rand(1, 3, 8, 8), 0)


# Plots.


class TestOverlay:
    def test_draws_the_weights_over_the_grey_picture(self):
        image, weights = plots.picture("china", 32), torch.rand(1, 1, 4, 8)
        (ax,) = plots.overlay(image, weights, title="T").axes
        under, heat = ax.images
        assert np.allclose(under.get_array(), image[0].mean(0))
        assert np.allclose(heat.get_array(), weights[0, 0])
        assert list(heat.get_extent()) == list(under.get_extent()) == [0, 32, 32, 0]
        assert heat.get_clim() == pytest.approx((weights.min().item(), weights.max().item()))
        assert ax.get_title() == "T"

    def test_planes_share_one_scale(self):
        image = plots.picture("china", 16)
        plot = plots.overlay(image, {"a": torch.zeros(2, 2), "b": torch.full((4, 4), 3.0)})
        assert [ax.get_title() for ax in plot.axes] == ["a", "b"]
        assert [ax.images[-1].get_clim() for ax in plot.axes] == [(0, 3), (0, 3)]
        limited = plots.overlay(image, torch.rand(2, 2), limits=(0, 1))
        assert limited.axes[0].images[-1].get_clim() == (0, 1)

    def test_mark_sits_in_the_middle_of_its_weight(self):
        (ax,) = plots.overlay(torch.rand(3, 32, 64), torch.rand(4, 8), at=(1, 2)).axes
        assert [line.get_xydata().tolist() for line in ax.lines] == [[[20, 12]], [[20, 12]]]

    def test_takes_weights_that_need_a_gradient(self):
        weights = torch.rand(2, 2, requires_grad=True).half()
        assert plots.overlay(torch.rand(1, 3, 8, 8), weights).png()

    def test_bad_arguments(self):
        with pytest.raises(ValueError, match="expected an image"):
            plots.overlay(torch.rand(1, 1, 8, 8), torch.rand(2, 2))
        with pytest.raises(ValueError, match=r"expected planes \(H, W\), got \(5,\)"):
            plots.overlay(torch.rand(1, 3, 8, 8), torch.rand(5))


class TestMaps:
    def test_draws_each_plane(self):
        x = torch.rand(1, 5, 3, 4)
        plot = plots.maps(x, list("abcde"), columns=3)
        drawn = [ax for ax in plot.axes if ax.images]
        assert [ax.get_title() for ax in drawn] == list("abcde")
        for ax, plane in zip(drawn, x[0], strict=True):
            assert np.allclose(image_of(ax), plane)
            assert ax.images[0].get_clim() == pytest.approx((x.min().item(), x.max().item()))

    def test_own_scales(self):
        plot = plots.maps([torch.tensor([[0.0, 1]]), torch.tensor([[5.0, 9]])], same_scale=False)
        assert [ax.images[0].get_clim() for ax in plot.axes] == [(0, 1), (5, 9)]
        assert len(plot.figure.axes) == 2  # and no colour bar

    def test_bad_arguments(self):
        with pytest.raises(ValueError, match="2 planes need 2 titles, got 1"):
            plots.maps(torch.rand(2, 3, 3), ["a"])
        with pytest.raises(ValueError, match="nothing to plot"):
            plots.maps([])


class TestBars:
    def test_heights_are_the_values(self):
        values = torch.tensor([0.25, 0.5, 1.0])
        (ax,) = plots.bars(values, ["a", "b", "c"], ylabel="gate", baseline=0.5).axes
        assert [bar.get_height() for bar in ax.patches] == [0.25, 0.5, 1.0]
        assert ax.get_ylabel() == "gate"
        assert [t.get_text() for t in ax.get_xticklabels()] == ["a", "b", "c"]
        assert list(ax.lines[0].get_ydata()) == [0.5, 0.5]

    def test_long_labels_lie(self):
        names = [f"a long name of channel {i}" for i in range(4)]
        (ax,) = plots.bars([1, 2, 3, 4], names, ylabel="gate").axes
        assert [bar.get_width() for bar in ax.patches] == [1, 2, 3, 4]
        assert ax.get_xlabel() == "gate"
        assert ax.yaxis_inverted()

    def test_rows_stand_side_by_side(self):
        plot = plots.bars({"SE": [1, 2], "ECA": torch.tensor([[3.0], [4.0]])})
        bars = plot.axes[0].patches
        assert [bar.get_height() for bar in bars] == [1, 2, 3, 4]
        spans = sorted((bar.get_x(), bar.get_x() + bar.get_width()) for bar in bars)
        assert all(a[1] <= b[0] + 1e-9 for a, b in pairwise(spans))
        assert [t.get_text() for t in plot.figure.legends[0].get_texts()] == ["SE", "ECA"]

    def test_bad_arguments(self):
        with pytest.raises(ValueError, match="rows of the same length"):
            plots.bars({"a": [1], "b": [1, 2]})
        with pytest.raises(ValueError, match="3 values need 3 labels, got 2"):
            plots.bars([1, 2, 3], ["a", "b"])


class TestMatrix:
    def test_small_ones_show_their_numbers(self):
        plot = plots.matrix(torch.tensor([[[0.25, 0.75], [1.0, 0.0]]]), rows="query", columns="key")
        (ax,) = plot.axes
        assert [t.get_text() for t in ax.texts] == ["0.25", "0.75", "1.00", "0.00"]
        assert [t.get_position() for t in ax.texts] == [(0, 0), (1, 0), (0, 1), (1, 1)]
        assert (ax.get_ylabel(), ax.get_xlabel()) == ("query", "key")

    def test_large_ones_do_not(self):
        (ax,) = plots.matrix(torch.rand(9, 9)).axes
        assert not ax.texts


def cross(x):
    """Every position takes the mean of its column and of its row."""
    return x.mean(2, keepdim=True) + x.mean(3, keepdim=True) + 0 * x


class TestReach:
    x = torch.randn(1, 2, 5, 6)

    def test_one_pass_sees_the_cross_two_see_everything(self):
        once = plots.influence(cross, self.x, at=(1, 2)) > 0
        expected = torch.zeros(5, 6, dtype=torch.bool)
        expected[1, :] = expected[:, 2] = True
        assert torch.equal(once, expected)
        assert (plots.influence(lambda x: cross(cross(x)), self.x, at=(1, 2)) > 0).all()

    def test_works_where_gradients_are_switched_off_and_leaves_no_trace(self):
        conv = torch.nn.Conv2d(2, 2, 3, padding=1)
        with torch.no_grad():
            seen = plots.influence(conv, self.x, at=(0, 0))
        assert (seen > 0).sum() == 4
        assert conv.weight.grad is None
        assert not self.x.requires_grad

    def test_counts_what_it_shows(self):
        functions = {"R = 1": cross, "R = 2": lambda x: cross(cross(x))}
        plot = plots.reach(functions, self.x, at=(1, 2))
        assert [ax.get_title() for ax in plot.axes] == ["R = 1: 10 of 30", "R = 2: 30 of 30"]
        mesh = plot.axes[0].collections[0]
        assert np.asarray(mesh.get_array()).sum() == 10
        assert plot.axes[0].lines[0].get_xydata().tolist() == [[2.5, 1.5]]


# The form they come in.

PLOTS = {
    "overlay": lambda: plots.overlay(plots.picture("china", 96), torch.rand(6, 6), title="weights"),
    "maps": lambda: plots.maps(plots.features(plots.picture("china", 96), 8)),
    "bars": lambda: plots.bars(torch.rand(16), ylabel="gate"),
    "matrix": lambda: plots.matrix(torch.rand(6, 6), label="weight"),
    "reach": lambda: plots.reach({"once": cross}, torch.randn(1, 2, 5, 6), at=(1, 2)),
}


@pytest.mark.parametrize("name", PLOTS)
class TestForm:
    def test_is_a_small_sharp_picture_of_phone_width(self, name):
        png, metadata = PLOTS[name]()._repr_png_()
        assert metadata == {"width": 520}
        assert len(png) < 150_000
        with Image.open(io.BytesIO(png)) as image:
            assert image.width == 780  # 5.2 in at 150 dots
            assert 190 < image.height < 870
            assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)  # the card

    def test_is_the_same_each_time(self, name):
        torch.manual_seed(1)
        first = PLOTS[name]().png()
        torch.manual_seed(1)
        assert first == PLOTS[name]().png()

    def test_every_label_lies_inside_and_none_covers_another(self, name):
        plot = PLOTS[name]()
        plot.png()  # lays it out
        figure = plot.figure
        renderer = figure.canvas.get_renderer()
        boxes = []
        for ax in figure.axes:
            texts = [ax.title, ax.xaxis.label, ax.yaxis.label, *ax.texts]
            for axis in (ax.xaxis, ax.yaxis):
                low, high = sorted(axis.get_view_interval())
                ticks = zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=True)
                texts += [label for at, label in ticks if low <= at <= high]
            boxes += [t.get_window_extent(renderer) for t in texts if t.get_text()]
        page = figure.bbox
        for i, box in enumerate(boxes):
            assert page.x0 - 1 <= box.x0
            assert box.x1 <= page.x1 + 1
            assert page.y0 - 1 <= box.y0
            assert box.y1 <= page.y1 + 1
            for other in boxes[i + 1 :]:
                across = min(box.x1, other.x1) - max(box.x0, other.x0)
                down = min(box.y1, other.y1) - max(box.y0, other.y0)
                assert across <= 1 or down <= 1


def test_nothing_is_left_open_and_the_style_goes_away():
    import matplotlib
    from matplotlib import pyplot

    before, open_before = dict(matplotlib.rcParams), pyplot.get_fignums()
    plots.bars([1, 2]).png()
    with plots.style():
        assert matplotlib.rcParams["axes.prop_cycle"].by_key()["color"] == list(plots.COLORS)
    assert dict(matplotlib.rcParams) == before
    assert pyplot.get_fignums() == open_before


def test_text_and_first_colours_stand_out_from_the_card():
    def luminance(colour):
        parts = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)
        ]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    def contrast(colour):
        return 1.05 / (luminance(colour) + 0.05)

    with plots.style():
        import matplotlib

        for key in ("text.color", "axes.labelcolor", "xtick.color", "ytick.color"):
            assert contrast(matplotlib.rcParams[key]) >= 7, key
    assert all(contrast(colour) >= 3 for colour in plots.COLORS[:3])


def test_save(tmp_path):
    plot = plots.figure(2, 2, height=3, sharex=True)
    assert len(plot.axes) == 4
    plot.axes[0].plot([1, 2])
    plot.save(tmp_path / "plot.png")
    with Image.open(tmp_path / "plot.png") as image:
        assert image.size == (780, 450)
