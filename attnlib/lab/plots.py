"""Pictures to look at and pictures of what attention does with them.

    picture    a photograph as a tensor, without a download
    features   a feature map with channels that mean something, without trained weights
    overlay    attention weights over a picture
    maps       planes side by side
    bars       one number per channel
    matrix     weights between positions or channels, with their values where there is room
    reach      which positions of the input one position of the output depends on
    figure     empty axes in the same style; `style()` lends it to any matplotlib code

Every plot returns a `Plot`; as the last line of a cell it shows itself, on a light card that reads
in light and dark pages, sized for a phone, and small as a file.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "COLORS",
    "Plot",
    "bars",
    "feature_names",
    "features",
    "figure",
    "influence",
    "maps",
    "matrix",
    "overlay",
    "picture",
    "reach",
    "style",
]

WIDTH = 5.2  # inches, shown as 520 px: on a phone the text comes out at 10 px
#: Okabe and Ito's colours, told apart by colour-blind readers.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5b5b5b")
_INK = "#24292f"
_STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#8c959f",
    "axes.facecolor": "white",
    "axes.grid": False,
    "axes.labelcolor": _INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 11,
    "figure.dpi": 150,
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same picture on every machine
    "font.size": 11,
    "grid.color": "#d0d7de",
    "image.cmap": "magma",
    "image.interpolation": "nearest",
    "legend.frameon": False,
    "lines.linewidth": 2,
    "savefig.facecolor": "white",
    "text.color": _INK,
    "xtick.color": _INK,
    "xtick.labelsize": 10,
    "ytick.color": _INK,
    "ytick.labelsize": 10,
}


def style() -> AbstractContextManager[None]:
    """The style of the book's plots, for ``with plots.style(): ...`` around matplotlib code.

    Example:
        >>> import matplotlib
        >>> with style():
        ...     matplotlib.rcParams["font.size"]
        11.0
    """
    import matplotlib
    from cycler import cycler

    settings: Any = {**_STYLE, "axes.prop_cycle": cycler(color=COLORS)}
    return matplotlib.rc_context(settings)


class Plot:
    """A matplotlib figure that shows itself as a small, sharp PNG."""

    def __init__(self, figure: Figure, axes: Sequence[Axes]) -> None:
        self.figure = figure
        self.axes = tuple(axes)

    def png(self) -> bytes:
        """The picture; with a palette where its colours are few, as in charts and planes."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from PIL import Image

        with style():
            canvas = FigureCanvasAgg(self.figure)
            canvas.draw()
        size = canvas.get_width_height()
        image = Image.frombytes("RGBA", size, bytes(canvas.buffer_rgba())).convert("RGB")
        if image.getcolors(600):
            image = image.quantize(256, dither=Image.Dither.NONE)
        buffer = io.BytesIO()
        image.save(buffer, "PNG", optimize=True)
        return buffer.getvalue()

    def save(self, path: str | Path) -> None:
        """Write the PNG to a file."""
        Path(path).write_bytes(self.png())

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        # The width says how large to show it; the picture has more dots, for sharp screens.
        return self.png(), {"width": round(100 * self.figure.get_size_inches()[0])}

    def __repr__(self) -> str:
        width, height = self.figure.get_size_inches()
        return f"Plot({width:.1f} × {height:.1f} in, {len(self.axes)} axes)"


def figure(rows: int = 1, columns: int = 1, *, height: float = 2.6, **options: Any) -> Plot:
    """Empty axes in the book's style; draw on ``plot.axes`` and let the cell end in ``plot``.

    Args:
        rows, columns: how many axes; ``plot.axes`` lists them row by row.
        height: of the whole figure, in inches.
        options: for matplotlib's ``Figure.subplots``, such as ``sharey=True``.

    Example:
        >>> plot = figure(height=2)
        >>> line = plot.axes[0].plot([1, 2, 4])
        >>> plot
        Plot(5.2 × 2.0 in, 1 axes)
    """
    from matplotlib.figure import Figure

    # Not through pyplot: nothing stays open, and the notebook does not show the figure twice.
    with style():
        made = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = made.subplots(rows, columns, squeeze=False, **options)
    return Plot(made, list(axes.flat))


# Pictures and features.


def picture(name: str = "china", size: int | tuple[int, int] = 224) -> Tensor:
    """A photograph that comes with scikit-learn: the temple "china" or the "flower".

    Args:
        name: ``"china"`` or ``"flower"``.
        size: H and W, or one number for both; the middle of the picture is cut to this form and
            scaled.

    Shape: (1, 3, H, W), values in [0, 1].

    Raises:
        ValueError: for another name, or a size that is not positive.
    """
    if name not in ("china", "flower"):
        raise ValueError(f"there is a picture 'china' and a picture 'flower', none called {name!r}")
    height, width = (size, size) if isinstance(size, int) else size
    if height < 1 or width < 1:
        raise ValueError(f"size must be positive, got {size}")
    image = _photograph(f"{name}.jpg").permute(2, 0, 1)[None] / 255
    full_height, full_width = image.shape[2:]
    scale = min(full_height / height, full_width / width)
    h, w = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (full_height - h) // 2, (full_width - w) // 2
    image = image[:, :, top : top + h, left : left + w]
    image = F.interpolate(image, (height, width), mode="bilinear", antialias=True)
    return image.clamp(0, 1).contiguous()


def _photograph(file: str) -> Tensor:
    """A sample image of scikit-learn, (H, W, 3) bytes; the file alone, without the second or two
    that importing scikit-learn takes."""
    import numpy
    from PIL import Image

    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("the photographs come with scikit-learn, which is not installed")
    with Image.open(Path(package.origin).parent / "datasets" / "images" / file) as image:
        return torch.tensor(numpy.asarray(image.convert("RGB")))


_KINDS = ("bright", "edge H", "edge V", "edge D", "blob", "red", "green", "blue")


def feature_names(channels: int) -> list[str]:
    """What each channel of `features` responds to: a kind and a scale in pixels.

    Example:
        >>> feature_names(10)[:3], feature_names(10)[8:]
        (['bright 1', 'edge H 1', 'edge V 1'], ['bright 2', 'edge H 2'])
    """
    return [f"{_KINDS[c % len(_KINDS)]} {2 ** (c // len(_KINDS))}" for c in range(channels)]


def features(image: Tensor, channels: int = 32) -> Tensor:
    """Turn a picture into a feature map whose channels mean something.

    A fixed bank of filters: brightness, horizontal, vertical and diagonal edges, blobs, and how
    much redder, greener or bluer than grey a place is; all of them at the scale of 1 pixel, then 2,
    4 and so on. Nothing is learned and nothing is downloaded, yet channels and places differ, so an
    attention module has something to attend to.

    Args:
        image: a picture.
        channels: how many channels, `feature_names` says which.

    Shape:
        - image: (B, 3, H, W)
        - output: (B, ``channels``, H, W), each channel of each picture scaled to [0, 1]

    Raises:
        ValueError: if the image is not (B, 3, H, W) or ``channels`` is not positive.
    """
    if image.dim() != 4 or image.shape[1] != 3:
        raise ValueError(f"expected an image of shape (B, 3, H, W), got {tuple(image.shape)}")
    if channels < 1:
        raise ValueError(f"channels must be positive, got {channels}")
    maps: list[Tensor] = []
    while len(maps) < channels:
        sigma = 2.0 ** (len(maps) // len(_KINDS))
        smooth = _blur(image, sigma)
        grey = smooth.mean(1, keepdim=True)
        red, green, blue = (smooth - grey).split(1, dim=1)
        dx, dy = _slope(grey, 3), _slope(grey, 2)
        maps += [
            grey,
            dy.abs(),
            dx.abs(),
            (dx * dy).abs().sqrt(),
            (grey - _blur(grey, 2 * sigma)).abs(),
            red.relu(),
            green.relu(),
            blue.relu(),
        ]
    x = torch.cat(maps[:channels], 1)  # (B, C, H, W)
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    return torch.where(high > low + 1e-6, (x - low) / (high - low + 1e-12), torch.zeros_like(x))


def _blur(x: Tensor, sigma: float) -> Tensor:
    """Convolve with a Gaussian; the border is continued."""
    reach = max(1, math.ceil(3 * sigma))
    offsets = torch.arange(-reach, reach + 1, dtype=x.dtype, device=x.device)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, 1, -1)
    x = F.conv2d(F.pad(x, (reach, reach, 0, 0), "replicate"), kernel, groups=x.shape[1])
    kernel = kernel.transpose(2, 3)
    return F.conv2d(F.pad(x, (0, 0, reach, reach), "replicate"), kernel, groups=x.shape[1])


def _slope(x: Tensor, dim: int) -> Tensor:
    """Central difference along a dimension; the border is continued."""
    pad = (1, 1, 0, 0) if dim == 3 else (0, 0, 1, 1)
    padded = F.pad(x, pad, "replicate")
    n = x.shape[dim]
    return (padded.narrow(dim, 2, n) - padded.narrow(dim, 0, n)) / 2


# Plots.

Planes = Tensor | Sequence[Tensor] | Mapping[str, Tensor]


def overlay(
    image: Tensor,
    weights: Planes,
    *,
    title: str = "",
    label: str = "weight",
    limits: tuple[float, float] | None = None,
    at: tuple[int, int] | None = None,
    columns: int | None = None,
    opacity: float = 0.65,
) -> Plot:
    """Attention weights as heat over a grey picture, with a colour bar.

    Args:
        image: (1, 3, H, W) or (3, H, W), values in [0, 1].
        weights: one plane, or several of them in a list or under their titles in a dict; each of
            them (h, w), leading dimensions of size 1 allowed. They may be coarser than the picture:
            each weight is drawn as the rectangle that it stands for, nothing is smoothed.
        title: of a single plane.
        label: of the colour bar, which all planes share.
        limits: ends of the colour bar; the smallest and largest weight if not given.
        at: row and column of a weight to mark, such as the position that attends.
        columns: planes per row; 2 or 3 if not given.
        opacity: of the heat.
    """
    titles, planes = _planes(weights, [title])
    rgb = image.detach().cpu().float()
    rgb = rgb[0] if rgb.dim() == 4 else rgb
    if rgb.dim() != 3 or rgb.shape[0] != 3:
        raise ValueError(f"expected an image (1, 3, H, W) or (3, H, W), got {tuple(image.shape)}")
    grey = rgb.mean(0).numpy()
    height, width = grey.shape

    def draw(ax: Axes, plane: Tensor, low: float, high: float) -> Any:
        extent = (0, width, height, 0)
        ax.imshow(grey, cmap="gray", vmin=0, vmax=1, extent=extent)
        heat = ax.imshow(
            plane.numpy(), vmin=low, vmax=high, extent=extent, alpha=opacity, aspect="auto"
        )
        ax.set_aspect("equal")
        if at is not None:
            h, w = plane.shape
            _mark(ax, (at[1] + 0.5) * width / w, (at[0] + 0.5) * height / h)
        return heat

    return _grid(
        planes, titles, draw, height / width, limits, label, columns or 2 + (len(planes) % 2)
    )


def maps(
    tensor: Planes,
    titles: Sequence[str] | None = None,
    *,
    label: str = "",
    limits: tuple[float, float] | None = None,
    at: tuple[int, int] | None = None,
    columns: int = 4,
    same_scale: bool = True,
) -> Plot:
    """Planes side by side, such as the channels of a feature map.

    Args:
        tensor: (1, C, H, W), (C, H, W) or (H, W); or planes in a list, or under their titles in a
            dict.
        titles: of the planes.
        label: of the colour bar.
        limits: ends of the colour bar; the smallest and largest value if not given.
        at: row and column of a place to mark.
        columns: planes per row.
        same_scale: whether all planes share one colour bar; else each has its own range, and there
            is no bar.
    """
    names, planes = _planes(tensor, titles)
    from matplotlib import colormaps

    colours = colormaps["magma"].resampled(160)  # few enough for a palette: a small file

    def draw(ax: Axes, plane: Tensor, low: float, high: float) -> Any:
        if not same_scale:
            low, high = float(plane.min()), float(plane.max())
        fine = plane.shape[1] > 500 / columns  # finer than the screen: average, do not pick
        image = ax.imshow(
            plane.numpy(),
            vmin=low,
            vmax=high,
            cmap=colours,
            interpolation="hanning" if fine else "nearest",
            interpolation_stage="data",
        )
        if at is not None:
            _mark(ax, at[1], at[0])
        return image

    h, w = planes[0].shape
    return _grid(planes, names, draw, h / w, limits, label, columns, bar=same_scale)


def bars(
    values: Tensor | Sequence[float] | Mapping[str, Tensor | Sequence[float]],
    labels: Sequence[str] | None = None,
    *,
    title: str = "",
    ylabel: str = "",
    baseline: float | None = None,
    height: float | None = None,
) -> Plot:
    """One bar per number, such as the gate of every channel.

    Args:
        values: numbers, or several rows of them under their names in a dict, drawn side by side.
        labels: one for each number; long ones lie better, and turn the plot on its side.
        title: above the plot.
        ylabel: what the numbers are.
        baseline: a value to mark by a dashed line, such as 0.5 for a gate that says nothing.
        height: in inches.
    """
    groups = values if isinstance(values, Mapping) else {"": values}
    rows = {
        name: torch.as_tensor(row).detach().cpu().float().flatten().tolist()
        for name, row in groups.items()
    }
    count = len(next(iter(rows.values()), []))
    if not count or any(len(row) != count for row in rows.values()):
        raise ValueError(
            f"expected rows of the same length, got { ({k: len(v) for k, v in rows.items()}) }"
        )
    if labels is not None and len(labels) != count:
        raise ValueError(f"{count} values need {count} labels, got {len(labels)}")
    lying = labels is not None and sum(len(label) + 2 for label in labels) > 50
    plot = figure(height=height or (0.6 + 0.24 * count if lying else 2.4))
    (ax,) = plot.axes
    thick = 0.8 / len(rows)
    with style():
        for i, (name, row) in enumerate(rows.items()):
            places = [c + (i - (len(rows) - 1) / 2) * thick for c in range(count)]
            draw = ax.barh if lying else ax.bar
            draw(places, row, thick, color=COLORS[i % len(COLORS)], label=name or None)
        if baseline is not None:
            line = ax.axvline if lying else ax.axhline
            line(baseline, color=_INK, linewidth=1, linestyle="--")
        if labels is not None:
            (ax.set_yticks if lying else ax.set_xticks)(range(count), labels)
        if lying:
            ax.invert_yaxis()
        (ax.set_xlabel if lying else ax.set_ylabel)(ylabel)
        ax.grid(axis="x" if lying else "y")
        ax.set_title(title)
        if any(rows):
            plot.figure.legend(loc="outside upper right", ncols=len(rows), fontsize=10)
    return plot


def matrix(
    values: Tensor,
    *,
    rows: str = "",
    columns: str = "",
    title: str = "",
    label: str = "",
    limits: tuple[float, float] | None = None,
    decimals: int = 2,
) -> Plot:
    """A matrix of weights; up to 8 × 8 with the numbers in the cells.

    Args:
        values: (n, m), leading dimensions of size 1 allowed.
        rows, columns: what the two axes are.
        title: above the plot.
        label: of the colour bar.
        limits: ends of the colour bar; the smallest and largest value if not given.
        decimals: of the numbers in the cells.
    """
    names, planes = _planes(values, [title])

    def draw(ax: Axes, plane: Tensor, low: float, high: float) -> Any:
        n, m = plane.shape
        image = ax.imshow(plane.numpy(), vmin=low, vmax=high, cmap="viridis")
        if max(n, m) <= 8:
            for i in range(n):
                for j in range(m):
                    value = float(plane[i, j])
                    light = (value - low) / ((high - low) or 1) < 0.6
                    ax.text(
                        j,
                        i,
                        f"{value:.{decimals}f}",
                        ha="center",
                        va="center",
                        fontsize=9,
                        color="white" if light else "black",
                    )
        ax.set_xlabel(columns)
        ax.set_ylabel(rows)
        return image

    n, m = planes[0].shape
    return _grid(planes, names, draw, n / m, limits, label, 1, widest=3.6)


def influence(function: Callable[[Tensor], Tensor], x: Tensor, at: tuple[int, int]) -> Tensor:
    """How strongly each position of `x` moves the output at one position.

    The absolute gradient of the output there (summed over its channels) with respect to the input,
    summed over the input's channels; a position that is not used gives exactly 0.

    Args:
        function: a module or function from (1, C, H, W) to (1, C', H, W).
        x: the input, (1, C, H, W). Random values, so that nothing cancels.
        at: row i and column j of the output position.

    Shape: (H, W)

    Example:
        >>> x = torch.randn(1, 2, 3, 4)
        >>> (influence(lambda x: x + x.mean(3, keepdim=True), x, at=(1, 2)) > 0).int()
        tensor([[0, 0, 0, 0],
                [1, 1, 1, 1],
                [0, 0, 0, 0]], dtype=torch.int32)
    """
    x = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        y = function(x)
        (gradient,) = torch.autograd.grad(y[0, :, at[0], at[1]].sum(), x)
    return gradient[0].abs().sum(0)


def reach(
    functions: Mapping[str, Callable[[Tensor], Tensor]], x: Tensor, at: tuple[int, int]
) -> Plot:
    """Which positions of the input the output at one position depends on, for several functions.

    Args:
        functions: modules or functions under their titles, each as `influence` takes them.
        x: the input, (1, C, H, W).
        at: row and column of the output position, marked by a ring.
    """
    seen = {name: (influence(f, x, at) > 0).float() for name, f in functions.items()}
    titles = [f"{name}: {int(s.sum())} of {s.numel()}" for name, s in seen.items()]
    h, w = x.shape[2:]

    def draw(ax: Axes, plane: Tensor, low: float, high: float) -> Any:
        from matplotlib.colors import ListedColormap

        two = ListedColormap(["#eef1f4", COLORS[0]])
        image = ax.pcolormesh(
            plane.numpy(), cmap=two, vmin=0, vmax=1, edgecolors="white", linewidth=1.5
        )
        ax.set_aspect("equal")
        ax.invert_yaxis()
        _mark(ax, at[1] + 0.5, at[0] + 0.5)
        return image

    columns = min(len(seen), 3)
    return _grid(list(seen.values()), titles, draw, h / w, (0, 1), "", columns, bar=False)


def _mark(ax: Axes, x: float, y: float) -> None:
    ax.plot(x, y, "o", markersize=9, markerfacecolor="none", markeredgecolor="white", mew=3.5)
    ax.plot(x, y, "o", markersize=9, markerfacecolor="none", markeredgecolor=COLORS[1], mew=1.8)


def _planes(values: Planes, titles: Sequence[str] | None = None) -> tuple[list[str], list[Tensor]]:
    """Titles and planes (H, W), whatever form they were given in."""
    if isinstance(values, Mapping):
        titles, parts = list(values), list(values.values())
    elif isinstance(values, Tensor):
        stack = values
        while stack.dim() > 3 and stack.shape[0] == 1:
            stack = stack[0]
        parts = list(stack) if stack.dim() == 3 else [stack]
    else:
        parts = list(values)
    planes = []
    for part in parts:
        plane = torch.as_tensor(part).detach().cpu().float()
        while plane.dim() > 2 and plane.shape[0] == 1:
            plane = plane[0]
        if plane.dim() != 2 or not plane.numel():
            raise ValueError(f"expected planes (H, W), got {tuple(torch.as_tensor(part).shape)}")
        planes.append(plane)
    if not planes:
        raise ValueError("there is nothing to plot")
    names = [""] * len(planes) if not titles or not any(titles) else list(titles)
    if len(names) != len(planes):
        raise ValueError(f"{len(planes)} planes need {len(planes)} titles, got {len(names)}")
    return names, planes


def _grid(
    planes: Sequence[Tensor],
    titles: Sequence[str],
    draw: Callable[[Axes, Tensor, float, float], Any],
    ratio: float,
    limits: tuple[float, float] | None,
    label: str,
    columns: int,
    *,
    bar: bool = True,
    widest: float = WIDTH,
) -> Plot:
    """Draw each plane on its own axes, with one colour bar for all of them."""
    columns = min(columns, len(planes))
    rows = math.ceil(len(planes) / columns)
    low = min(float(p.min()) for p in planes) if limits is None else limits[0]
    high = max(float(p.max()) for p in planes) if limits is None else limits[1]
    room = min(widest, WIDTH - (0.9 if bar else 0.1)) / columns - 0.08
    above = 0.27 * max((title.count("\n") + 1 for title in titles if title), default=0)
    if columns == 1:
        room = min(room, 3.6 / max(ratio, 1e-6))
    plot = figure(rows, columns, height=rows * (room * ratio + above + 0.08) + 0.1)
    with style():
        image = None
        for ax, plane, title in zip(plot.axes, planes, titles, strict=False):
            image = draw(ax, plane, low, high)
            ax.set_xticks([])
            ax.set_yticks([])
            ax.spines[:].set_visible(False)
            ax.set_title(title, fontsize=11 if columns < 3 else 9.5)
        for ax in plot.axes[len(planes) :]:
            ax.set_axis_off()
        if bar and image is not None:
            from matplotlib.cm import ScalarMappable

            colours = ScalarMappable(image.norm, image.cmap)  # as the heat, but opaque
            bar_axes = plot.figure.colorbar(
                colours, ax=list(plot.axes), label=label, fraction=0.05, pad=0.02, aspect=18
            )
            bar_axes.outline.set_visible(False)
    return plot
