"""What every mechanism costs as a formula: written down once, as data.

A formula is an expression in Python's syntax over the symbols C, H, W and N = H·W and those that
its ``where`` explains, either as another expression or as the name of an option of the module.
``value`` computes it; the tests compare it with what ``attnlib.lab.cost`` counts, and the page
"What it costs" prints it. Parameters and MACs (of one image, at the module's defaults) are exact.

Of the peak memory beyond x the formulas say what it grows with: the count divided by the formula
stays about the same, whatever the size.
"""

from __future__ import annotations

import ast
import inspect
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import attnlib

__all__ = ["FORMULAS", "Formula", "limit", "value"]


@dataclass(frozen=True)
class Formula:
    parameters: str
    macs: str
    peak: str = "C*N"
    peak_training: str = "C*N"
    where: Mapping[str, str] = field(default_factory=dict)


_NARROW = {"c": "C//r", "r": "reduction"}
_PAIRS = "N*(2*C*c + C**2) + N**2*(C + c)"
_CROSS = "N*(2*C*c + C**2) + N*(H + W)*(C + c)"

FORMULAS: dict[str, Formula] = {
    "se": Formula("2*C*c", "2*C*c", where=_NARROW),
    "cbam": Formula(
        "2*C*c + C + c + 2*k**2 + 2",
        "4*C*c + 2*k**2*N + C*N",  # the mean over the channels is taken by a product
        where=_NARROW | {"k": "kernel_size"},
    ),
    "bam": Formula(
        "3*C*c + 3*C + 18*c**2 + 5*c + 3",
        "2*C*c + (C*c + 18*c**2 + c)*N",
        where=_NARROW,
    ),
    "eca": Formula("k", "k*C", where={"k": "odd(log2(C)/2 + 1/2)"}),
    "shuffle": Formula("3*C/G", "0", where={"G": "groups"}),
    "sge": Formula(
        "2*G", "C*N", peak="(C + G)*N", peak_training="(2*C + 7*G)*N", where={"G": "groups"}
    ),
    "psa_parallel": Formula("2*C**2 + 3*C", "4*C*N + 2*C**2"),
    "psa_sequential": Formula("2*C**2 + 3*C", "4*C*N + 2*C**2"),
    "coordinate": Formula(
        "3*C*m + 3*m + 2*C",
        "2*C*m*(H + W)",
        where={"m": "max(8, C//r)", "r": "reduction"},
    ),
    "gam": Formula(
        "2*(k**2 + 1)*C*c + 4*c + 4*C",
        "2*(k**2 + 1)*C*c*N",
        where=_NARROW | {"k": "kernel_size"},
    ),
    "position": Formula("C**2 + 2*C*c + C + 2*c + 1", _PAIRS, where=_NARROW),
    "channel": Formula("1", "2*C**2*N", peak="max(C*N, C**2)", peak_training="max(C*N, C**2)"),
    "danet": Formula("C**2 + 2*C*c + C + 2*c + 2", f"{_PAIRS} + 2*C**2*N", where=_NARROW),
    "criss_cross": Formula(
        "C**2 + 2*C*c + C + 2*c + 1",
        _CROSS,
        peak="4*C*N + N*(H + W)",
        peak_training="4*C*N + N*(H + W)",
        where=_NARROW,
    ),
    "ccnet": Formula(
        "C**2 + 2*C*c + C + 2*c + 1",
        f"R*({_CROSS})",
        peak="4*C*N + N*(H + W)",
        peak_training="4*C*N + N*(H + W)",
        where=_NARROW | {"R": "recurrences"},
    ),
    "multihead": Formula("4*C**2", "4*C**2*N + 2*C*N**2"),
}

# --- evaluation -----------------------------------------------------------------------------------

_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
}


def _odd(number: float) -> int:
    """The nearest odd number, downwards cut first: |t|_odd of ECA."""
    whole = int(abs(number))
    return whole if whole % 2 else whole + 1


_FUNCTIONS: dict[str, Callable[..., float]] = {"log2": math.log2, "max": max, "odd": _odd}


def value(key: str, expression: str, *, C: int, H: int, W: int, **options: float) -> float:
    """An expression of ``key``'s formula at a size; ``options`` replace the module's defaults."""
    where = FORMULAS[key].where
    defaults = inspect.signature(attnlib.info(key).module).parameters
    sizes = {"C": C, "H": H, "W": W, "N": H * W}

    def name(symbol: str) -> float:
        if symbol in sizes:
            return sizes[symbol]
        if symbol not in where:
            raise ValueError(f"{key}: no meaning is given for {symbol!r}")
        meaning = where[symbol]
        if meaning in defaults:
            return options.get(meaning, defaults[meaning].default)
        return walk(ast.parse(meaning, mode="eval").body)

    def walk(node: ast.expr) -> float:
        match node:
            case ast.Constant(value=int() as number):
                return number
            case ast.Name(id=symbol):
                return name(symbol)
            case ast.BinOp(left=left, op=op, right=right):
                return _OPERATORS[type(op)](walk(left), walk(right))
            case ast.Call(func=ast.Name(id=function), args=arguments):
                return _FUNCTIONS[function](*map(walk, arguments))
        raise ValueError(f"{key}: {ast.unparse(node)!r} is no formula")

    return walk(ast.parse(expression, mode="eval").body)


def limit(key: str, expression: str, symbol: str) -> float:
    """The power of C, or of N, with which an expression grows in the end, in halves."""
    size = {"C": 256, "H": 56, "W": 56}
    sizes = []
    for power in (40, 41):
        if symbol == "C":
            sizes.append(size | {"C": 2**power})
        else:
            sizes.append(size | {"H": 2**power, "W": 2**power})
    first, second = (value(key, expression, **at) for at in sizes)
    if not first:
        return 0.0
    slope = math.log2(second / first) / (1 if symbol == "C" else 2)
    return round(2 * slope) / 2
