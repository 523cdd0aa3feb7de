"""Sizes in symbols: which name a number in a shape deserves.

A symbolic run knows the sizes that may vary (B, H, W) by name. The sizes that are fixed when a
module is built are numbers, and a number has no memory: 4 may be C/r or four maps. The caller says
what the fixed sizes are called; a number is then read as the simplest expression of these names,
and a number with two simple readings is refused rather than guessed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

__all__ = ["Namer"]

_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


class Namer:
    """Writes sizes, given what the fixed sizes and the free axes are called."""

    def __init__(self, symbols: Mapping[str, int | str], axes: Sequence[str]) -> None:
        self.abbreviations = {v: k for k, v in symbols.items() if isinstance(v, str)}
        fixed = {k: v for k, v in symbols.items() if not isinstance(v, str)}
        for name, value in fixed.items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"the size {name} must be a positive number, got {value!r}")
            if name in axes:
                raise ValueError(f"{name} is the name of an axis that may have any size")
        self.plain = {k: v for k, v in fixed.items() if k.isidentifier()}
        self.settled = {v: k for k, v in fixed.items() if not k.isidentifier()}
        for value in self.plain.values():
            same = [k for k, v in self.plain.items() if v == value]
            if len(same) > 1:
                raise ValueError(f"{' and '.join(same)} are both {value}: choose sizes that differ")
        self.axes = tuple(axes)
        self.free: dict[Any, str] = {}  # sympy symbol → axis name
        self._simple: dict[int, set[str]] = {}
        self._composed: dict[int, set[str]] = {}
        for text, value in self._expressions_of_two():
            self._simple.setdefault(value, set()).add(text)
        for text, value in self._expressions_of_three():
            self._composed.setdefault(value, set()).add(text)

    # --- the axes that may have any size ---

    def learn_axes(self, shape: Sequence[Any], axes: Mapping[int, str]) -> list[str]:
        """Take the symbols of the input's axes; say which axes the module fixed or tied."""
        notes = []
        for axis, name in axes.items():
            size = shape[axis]
            if not isinstance(size, torch.SymInt) or size.node.expr.is_Integer:
                notes.append(f"{name} = {int(size)}: this module allows no other")
                if int(size) not in self.plain.values():
                    self.settled.setdefault(int(size), str(int(size)))
                continue
            symbol = size.node.expr
            if symbol in self.free:
                notes.append(f"{name} = {self.free[symbol]}: this module allows no other")
            else:
                self.free[symbol] = name
        return notes

    def legend(self) -> str:
        """What the symbols stand for."""
        parts = [", ".join(f"{name} = {value}" for name, value in self.plain.items())]
        parts += [f"{short} = {text}" for text, short in self.abbreviations.items()]
        if self.free:
            parts.append("any " + ", ".join(self.free.values()))
        return "; ".join(part for part in parts if part)

    def bounds(self, ranges: Mapping[Any, Any]) -> list[str]:
        """Sizes that the module's own conditions rule out."""
        notes = []
        for symbol, name in self.free.items():
            lower, upper = (str(getattr(ranges.get(symbol), b, "")) for b in ("lower", "upper"))
            if lower.isdigit() and int(lower) > 2:
                notes.append(f"{name} ≥ {lower}")
            if upper.isdigit() and int(upper) < 2**31:
                notes.append(f"{name} ≤ {upper}")
        return notes

    # --- writing ---

    def shape(self, sizes: Sequence[Any]) -> str:
        if not sizes:
            return "()"
        return f"({', '.join(self.size(n) for n in sizes)}{',' if len(sizes) == 1 else ''})"

    def size(self, n: Any) -> str:
        """One size, as short as it can be written."""
        if isinstance(n, torch.SymInt):
            n = n.node.expr
            text = str(self._number(int(n))) if n.is_Integer else self._expression(n)
        else:
            text = self._number(n) if isinstance(n, int) else str(n)
        return self.abbreviations.get(text, text)

    def is_symbol(self, text: str) -> bool:
        return not text.isdigit()

    def _number(self, n: int) -> str:
        """A fixed number: the simplest expression that has this value, or the number itself."""
        if n <= 1 or not (self.plain or self.settled):
            return str(n)
        if n in self.settled:
            return self.settled[n]
        simple = sorted(self._simple.get(n, ()), key=lambda t: (len(t), t))
        named = [text for text in simple if text in self.plain]
        if simple and n <= 3 and not named:
            simple.append(f"the number {n}")
        if len(simple) > 1:
            raise ValueError(self._clash(n, simple))
        if simple:
            return simple[0]
        composed = sorted(self._composed.get(n, ()), key=lambda t: (len(t), t))
        if n <= 3 or not composed:
            return str(n)
        if len(composed) > 1:
            raise ValueError(self._clash(n, composed))
        return composed[0]

    def _clash(self, n: int, readings: Sequence[str]) -> str:
        given = ", ".join(f"{k} = {v}" for k, v in self.plain.items())
        return (
            f"with {given} the size {n} may be {' or '.join(readings)}: choose sizes that do not "
            f"collide, or settle what {n} is, as in symbols={{'C/r': 4}} or {{'8': 8}}"
        )

    def _expressions_of_two(self) -> Iterator[tuple[str, int]]:
        """s, s/t, s·t, and 2·C, 3·C, C/2 for the first symbol, which is the channel count."""
        names = list(self.plain)
        for i, s in enumerate(names):
            a = self.plain[s]
            yield s, a
            if i == 0:
                yield f"2·{s}", 2 * a
                yield f"3·{s}", 3 * a
                if a % 2 == 0:
                    yield f"{s}/2", a // 2
            for j, t in enumerate(names):
                b = self.plain[t]
                if i < j:
                    yield f"{s}·{t}", a * b
                if i != j and a > b > 1:
                    yield (f"{s}/{t}" if a % b == 0 else f"⌊{s}/{t}⌋"), a // b

    def _expressions_of_three(self) -> Iterator[tuple[str, int]]:
        names = list(self.plain)
        for s in names:
            a = self.plain[s]
            for k in (2, 3, 4, 8):
                yield f"{k}·{s}", k * a
                if a % k == 0:
                    yield f"{s}/{k}", a // k
            for t in names:
                b = self.plain[t]
                if s == t or a <= b:
                    continue
                for k in (2, 3, 4):
                    if a % (k * b) == 0:
                        yield f"{s}/({k}·{t})", a // (k * b)
                    if a % b == 0:
                        yield f"{k}·{s}/{t}", k * a // b
                for u in names:
                    if u not in (s, t) and a % (b * self.plain[u]) == 0 and t < u:
                        yield f"{s}/({t}·{u})", a // (b * self.plain[u])

    def _expression(self, e: Any) -> str:
        """A sympy expression over the free axes."""
        if e in self.free:
            return self.free[e]
        if e.is_Integer:
            return str(e)
        kind = type(e).__name__
        if kind == "Add":
            return self._sum(e)
        if kind == "Mul":
            return self._product(e)
        if kind == "Pow" and e.exp.is_Integer and e.exp > 1:
            return self._atom(e.base) + str(e.exp).translate(_SUPERSCRIPT)
        if kind in {"FloorDiv", "CleanDiv", "PythonMod", "Mod"}:
            a, b = e.args
            if kind == "FloorDiv" and a.is_Add and a.as_coeff_Add()[0] == b - 1:
                return f"⌈{self._atom(a - b + 1)}/{self._atom(b)}⌉"
            if kind == "FloorDiv":
                return f"⌊{self._atom(a)}/{self._atom(b)}⌋"
            if kind == "CleanDiv":
                return f"{self._atom(a)}/{self._atom(b)}"
            return f"{self._atom(a)} mod {self._atom(b)}"
        if kind in {"Max", "Min"}:
            return f"{kind.lower()}({', '.join(sorted(self._expression(a) for a in e.args))})"
        text = str(e)
        for symbol, name in self.free.items():
            text = text.replace(str(symbol), name)
        return text

    def _atom(self, e: Any) -> str:
        text = self._expression(e)
        return f"({text})" if type(e).__name__ in {"Add", "Mul"} else text

    def _sum(self, e: Any) -> str:
        constant = sum(int(a) for a in e.args if a.is_Integer)
        terms = [a for a in e.args if not a.is_Integer]
        # ⌊(n − 1)/k⌋ + 1, the output of a strided convolution, is ⌈n/k⌉.
        if constant == 1 and len(terms) == 1 and type(terms[0]).__name__ == "FloorDiv":
            a, b = terms[0].args
            return f"⌈{self._atom(a + 1)}/{self._atom(b)}⌉"
        positive: list[Any] = []
        negative: list[Any] = []
        for term in terms:
            (negative if term.could_extract_minus_sign() else positive).append(term)
        order = {name: str(i) for i, name in enumerate(self.axes)}
        text = " + ".join(
            sorted((self._expression(t) for t in positive), key=lambda s: order.get(s, s))
        )
        for part in sorted(self._expression(-t) for t in negative):
            text += f" − {part}" if text else f"−{part}"
        if constant:
            text += f" {'+' if constant > 0 else '−'} {abs(constant)}"
        return text

    def _product(self, e: Any) -> str:
        coefficient, rest = e.as_coeff_Mul()
        factors = [self._atom(a) for a in (rest.args if rest.is_Mul else (rest,))]
        order = {name: i for i, name in enumerate(self.axes)}
        factors.sort(key=lambda s: (order.get(s.rstrip("⁰¹²³⁴⁵⁶⁷⁸⁹"), len(order)), s))
        product = "·".join(factors)
        product = self.abbreviations.get(product, product)
        if coefficient == 1:
            return product
        if not coefficient.is_Integer:
            return f"{coefficient}·{product}"
        number = self._number(int(coefficient))
        if number.isdigit():
            return f"{number}·{product}"
        if "/" in number:
            return f"{product}·{number}"
        # A channel symbol stands between the batch and the positions: B·G, C·H·W.
        batch = self.axes[0] if self.axes else ""
        if factors[0] == batch:
            return "·".join([batch, number, *factors[1:]])
        return f"{number}·{product}"
