"""Structure diagrams: what flows through an attention module, drawn from a few lines of Python.

One visual language for every mechanism. A tensor is drawn by its form (a feature map as a stack of
sheets, a vector over the channels as a bar of cells, a plane as one sheet, a matrix as a grid) with
its name and symbolic shape; blue for data, green for attention weights. An operation stands on its
wire: with rounded ends if it only computes, orange and with corners if it has parameters. Circles
merge branches: ⊕ adds, ⊗ multiplies, ∥ concatenates, @ is a matrix product. A dashed frame with a
title is a part; a tag in its title says that it is repeated.

    >>> d = Diagram("Squeeze-and-Excitation")
    >>> x = d.tensor("X", "C×H×W")
    >>> z = x.op("mean over H, W").tensor("z", "C×1×1")
    >>> s = z.layer("FC, C → C/r").op("ReLU").layer("FC, C/r → C").op("σ").weights("s", "C×1×1")
    >>> y = (x * s).tensor("Y", "C×H×W")
    >>> d
    Diagram('Squeeze-and-Excitation', 10 nodes)

In a notebook the last line shows the picture. There is nothing to place: branches that leave a node
and meet in another one are set side by side, in the order of the arguments of the node in which
they meet, and a path without any operation becomes the straight line on the left.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from itertools import groupby
from pathlib import Path

from attnlib.lab._layout import Box, Branches, Frame, Merge, Operation, Picture, Run, Sheets

__all__ = ["Diagram", "Node"]

_FONTS = "Segoe UI, Roboto, Helvetica Neue, Arial, Liberation Sans, sans-serif"
_MARGIN = 5.0


class Diagram:
    """The structure of a module as a picture.

    Args:
        title: what the picture shows; the image's accessible name and tooltip, not drawn.

    Raises:
        ValueError: while drawing, if the branches do not nest (a path leads from inside one branch
            to the inside of another), or a group is not one connected part.

    Example:
        >>> d = Diagram("residual")
        >>> x = d.tensor("x", "C×H×W")
        >>> with d.group("branch", times="× 2"):
        ...     f = x.layer("3×3 conv").op("ReLU")
        >>> y = (x + f).tensor("y", "C×H×W")
        >>> d.width < 420 and d.svg().startswith("<svg")
        True
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self._vertices: list[_Vertex] = []
        self._groups: tuple[_Group, ...] = ()

    # What can be drawn.

    def tensor(self, name: str = "", shape: str = "") -> Node:
        """An input: a tensor that nothing in the picture computes.

        The shape is symbolic, sizes joined by ×: "C×H×W", "C/r×1×1", "N×N". A leading B is shown
        but adds nothing to the form. In names and labels ``_c`` and ``^{h}`` lower and raise.
        """
        return self._add("tensor", name, shape=shape)

    def op(self, label: str, *inputs: Node) -> Node:
        """An operation without parameters on one or more inputs; a newline breaks the label."""
        return self._add("op", label, *inputs)

    def layer(self, label: str, *inputs: Node) -> Node:
        """An operation that has parameters."""
        return self._add("layer", label, *inputs)

    def shared(self, label: str, *inputs: Node) -> tuple[Node, ...]:
        """One layer, applied to each input with the same parameters; one result for each."""
        return self._add("layer", label, *inputs, outputs=len(inputs)).results()

    def split(self, label: str, input: Node, parts: int = 2) -> tuple[Node, ...]:
        """An operation with several results, such as a split along the channels."""
        return self._add("op", label, input, outputs=parts).results()

    def add(self, *inputs: Node) -> Node:
        """⊕, the sum of its inputs; ``a + b`` for two of them."""
        return self._add("merge", "+", *inputs)

    def multiply(self, *inputs: Node) -> Node:
        """⊗, the elementwise product with broadcasting; ``a * b`` for two of them."""
        return self._add("merge", "×", *inputs)

    def matmul(self, *inputs: Node) -> Node:
        """@ in a circle, the matrix product; ``a @ b``."""
        return self._add("merge", "@", *inputs)

    def concat(self, *inputs: Node) -> Node:
        """∥, concatenation."""
        return self._add("merge", "∥", *inputs)

    @contextmanager
    def group(self, title: str, times: str = "") -> Iterator[None]:
        """A frame around the nodes made inside the ``with`` block.

        Args:
            title: stands at the top of the frame.
            times: how often the part is used, such as ``"× 2, same weights"``; the frame is then
                drawn as the first of several sheets.
        """
        self._groups = (*self._groups, _Group(title, times))
        try:
            yield
        finally:
            self._groups = self._groups[:-1]

    def _add(self, kind: str, label: str, *inputs: Node, shape: str = "", outputs: int = 1) -> Node:
        if kind in ("merge", "op", "layer") and not inputs:
            raise ValueError(f"{label!r} needs at least one input")
        for node in inputs:
            if not isinstance(node, Node) or node.diagram is not self:
                raise TypeError(f"an input of {label!r} is not a node of this diagram: {node!r}")
        vertex = _Vertex(kind, label, shape, outputs, self._groups, len(self._vertices))
        vertex.inputs = [(node.vertex, node.port) for node in inputs]
        self._vertices.append(vertex)
        return Node(self, vertex)

    # The picture.

    @property
    def width(self) -> float:
        """Width in units; a unit is one pixel, or less where there is less room."""
        run = self._layout()
        return run.left + run.right + 2 * _MARGIN

    def svg(self) -> str:
        """The picture as an SVG element that takes its text colour from where it is put."""
        return self._svg()

    def _svg(self, attributes: str = 'class="attn-diagram"', inside: str = "") -> str:
        if not self._vertices:
            raise ValueError("the diagram is empty")
        run, picture = self._layout(), Picture()
        run.draw(picture, run.left + _MARGIN, _MARGIN)
        width = round(run.left + run.right + 2 * _MARGIN + 0.5)
        height = round(run.height + 2 * _MARGIN + 0.5)
        title = escape(self.title, quote=True)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" {attributes} role="img" '
            f'aria-label="{title}" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" font-family="{_FONTS}" '
            f'style="max-width:100%;height:auto"><title>{title}</title>{inside}{picture.body()}</svg>'
        )

    def save(self, path: str | Path) -> None:
        """Write a standalone SVG file, with its own background for light and dark screens."""
        Path(path).write_text(self._repr_svg_(), encoding="utf-8")

    def _repr_html_(self) -> str:
        return f'<div class="attn-diagram-box" style="text-align:center">{self.svg()}</div>'

    def _repr_svg_(self) -> str:
        # As an image, the picture cannot know the colours of the page: it brings a card of its own.
        # The attributes hold where a viewer strips the style sheet: dark on a white card.
        return self._svg(
            'class="attn-diagram attn-alone" color="#1f2328"',
            "<style>@media(prefers-color-scheme:dark){.attn-alone{color:#e6edf3}"
            ".attn-alone .card{fill:#161b22}}</style>"
            '<rect class="card" width="100%" height="100%" rx="6" fill="#fff"/>',
        )

    def __repr__(self) -> str:
        return f"Diagram({self.title!r}, {len(self._vertices)} nodes)"

    def _layout(self) -> Run:
        items = _nest(self._vertices)
        framed: dict[_Group, int] = {}
        run = _run(items, 0, framed)
        for group in {group: None for v in self._vertices for group in v.groups}:
            if framed.get(group) != 1:
                raise ValueError(f"the group {group.title!r} is not one connected part")
        return run


class Node:
    """A node of a diagram; its methods draw what comes after it."""

    def __init__(self, diagram: Diagram, vertex: _Vertex, port: int = 0) -> None:
        self.diagram, self.vertex, self.port = diagram, vertex, port

    def results(self) -> tuple[Node, ...]:
        return tuple(Node(self.diagram, self.vertex, i) for i in range(self.vertex.outputs))

    def tensor(self, name: str = "", shape: str = "") -> Node:
        """The result as a tensor with a name and a symbolic shape."""
        return self.diagram._add("tensor", name, self, shape=shape)

    def weights(self, name: str = "", shape: str = "") -> Node:
        """The result as attention weights."""
        return self.diagram._add("weights", name, self, shape=shape)

    def op(self, label: str) -> Node:
        """An operation without parameters on this node."""
        return self.diagram.op(label, self)

    def layer(self, label: str) -> Node:
        """An operation with parameters on this node."""
        return self.diagram.layer(label, self)

    def split(self, label: str, parts: int = 2) -> tuple[Node, ...]:
        """An operation with several results."""
        return self.diagram.split(label, self, parts)

    def __add__(self, other: Node) -> Node:
        return self.diagram.add(self, other)

    def __mul__(self, other: Node) -> Node:
        return self.diagram.multiply(self, other)

    def __matmul__(self, other: Node) -> Node:
        return self.diagram.matmul(self, other)

    def __repr__(self) -> str:
        return f"Node({self.vertex.label!r})"


@dataclass(eq=False)
class _Group:
    title: str
    times: str


@dataclass(eq=False)
class _Vertex:
    kind: str
    label: str
    shape: str
    outputs: int
    groups: tuple[_Group, ...]
    index: int
    inputs: list[tuple[_Vertex, int]] = field(default_factory=list)

    def box(self) -> Box:
        if self.kind == "merge":
            return Merge(self.label)
        if self.kind in ("tensor", "weights"):
            return Sheets(self.kind, self.label, self.shape)
        return Operation(self.kind, self.label)


@dataclass(eq=False)
class _Path:
    """What lies between two vertices: an edge at first, a whole part of the picture at last."""

    tail: _Vertex
    head: _Vertex
    port: int  # which result of `tail`
    slot: int  # which input of `head`
    items: list[_Vertex | _Parallel]


@dataclass(eq=False)
class _Parallel:
    """Paths with the same two ends, from left to right."""

    paths: list[_Path]
    head: _Vertex  # where they meet
    ported: bool
    main_path: bool


def _nest(vertices: list[_Vertex]) -> list[_Vertex | _Parallel]:
    """Take the graph apart into runs and branches (series-parallel reduction).

    A vertex with one way in and one way out is absorbed into the path through it; paths with the
    same two ends become branches. A structure that nests is left as a single path.
    """
    root = _Vertex("end", "", "", 1, (), -1)
    sink = _Vertex("end", "", "", 1, (), len(vertices))
    paths = [
        _Path(tail, vertex, port, slot, [])
        for vertex in vertices
        for slot, (tail, port) in enumerate(vertex.inputs)
    ]
    used = {path.tail for path in paths}
    paths += [_Path(root, v, v.index, 0, []) for v in vertices if not v.inputs]
    paths += [_Path(v, sink, 0, v.index, []) for v in vertices if v not in used]
    while True:
        before = len(paths)
        ends: dict[tuple[_Vertex, _Vertex], list[_Path]] = {}
        for path in paths:
            ends.setdefault((path.tail, path.head), []).append(path)
        paths = [_side_by_side(same) if len(same) > 1 else same[0] for same in ends.values()]
        for vertex in vertices:
            into = [path for path in paths if path.head is vertex]
            out = [path for path in paths if path.tail is vertex]
            if len(into) == len(out) == 1:
                a, b = into[0], out[0]
                paths = [path for path in paths if path not in (a, b)]
                items = [*a.items, vertex, *b.items]
                paths.append(_Path(a.tail, b.head, a.port, b.slot, items))
        if len(paths) == 1:
            return paths[0].items
        if len(paths) == before:
            tangled = sorted({p.tail.index for p in paths} & {p.head.index for p in paths})
            labels = ", ".join(repr(vertices[i].label) for i in tangled)
            raise ValueError(
                f"the branches between {labels} do not nest: a path leads from inside one branch "
                "into another; draw such parts as one node, or as two diagrams"
            )


def _side_by_side(paths: list[_Path]) -> _Path:
    tail, head = paths[0].tail, paths[0].head
    flat: list[_Path] = []
    for path in paths:
        first = path.items[0] if path.items else None
        flat += first.paths if isinstance(first, _Parallel) and len(path.items) == 1 else [path]
    ported = tail.outputs > 1
    merge = head.kind == "merge"

    def order(path: _Path) -> tuple[bool, int, int]:
        if ported:
            return (False, path.port, path.slot)
        return (merge and bool(path.items), path.slot, path.port)

    flat.sort(key=order)
    bare = [path for path in flat if not path.items]
    parallel = _Parallel(flat, head, ported, main_path=merge and len(bare) == 1 and not ported)
    slot, port = min(path.slot for path in flat), min(path.port for path in flat)
    return _Path(tail, head, port, slot, [parallel])


def _group(item: _Vertex | _Parallel, depth: int) -> _Group | None:
    """The group at this depth of nesting in which an item lies as a whole.

    Branches lie in a group if the vertex in which they meet does: bare wires belong to nothing.
    """
    if isinstance(item, _Vertex):
        return item.groups[depth] if len(item.groups) > depth else None
    group = _group(item.head, depth)
    inside = {_group(i, depth) for path in item.paths for i in path.items}
    return group if inside <= {group} else None


def _run(items: list[_Vertex | _Parallel], depth: int, framed: dict[_Group, int]) -> Run:
    """The boxes of a path, those of one group inside a frame."""

    boxes: list[Box] = []
    for group, members in groupby(items, lambda item: _group(item, depth)):
        inside = list(members)
        if group is not None:
            framed[group] = framed.get(group, 0) + 1
            boxes.append(Frame(_run(inside, depth + 1, framed), group.title, group.times))
            continue
        for item in inside:
            if isinstance(item, _Vertex):
                boxes.append(item.box())
            else:
                runs = [_run(path.items, depth, framed) for path in item.paths]
                boxes.append(Branches(runs, ported=item.ported, main_path=item.main_path))
    return Run(boxes)
