"""Formulas as data (Python expressions, see ``benchmarks/formulas.py``) as HTML for a table cell.

html("2*C*c + C**2*N")   →   2<i>Cc</i> + <i>C</i><sup>2</sup><i>N</i>
"""

from __future__ import annotations

import ast

__all__ = ["html"]

_SUM, _PRODUCT, _POWER, _ATOM = range(4)
_FUNCTIONS = {"log2": "log<sub>2</sub>", "max": "max", "odd": "odd"}


def html(expression: str) -> str:
    """An expression as mathematics is written: letters side by side, powers raised."""
    return _walk(ast.parse(expression, mode="eval").body)[0].replace("</i><i>", "")


def _walk(node: ast.expr) -> tuple[str, int]:
    """HTML of a node, and how tightly it holds together."""
    match node:
        case ast.Constant(value=value):
            return str(value), _ATOM
        case ast.Name(id=name):
            return f"<i>{name}</i>", _ATOM
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as op, right=right):
            sign = "+" if isinstance(op, ast.Add) else "−"
            return f"{_walk(left)[0]} {sign} {_in(right, _PRODUCT)}", _SUM
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return _in(left, _PRODUCT) + _in(right, _PRODUCT), _PRODUCT
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return f"{_in(left, _PRODUCT)}/{_in(right, _POWER)}", _PRODUCT
        case ast.BinOp(left=left, op=ast.FloorDiv(), right=right):
            return f"⌊{_in(left, _PRODUCT)}/{_in(right, _POWER)}⌋", _ATOM
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return f"{_in(left, _ATOM)}<sup>{_walk(right)[0]}</sup>", _POWER
        case ast.Call(func=ast.Name(id=name), args=arguments):
            inside = ", ".join(_walk(argument)[0] for argument in arguments)
            return f"{_FUNCTIONS[name]}({inside})", _ATOM
    raise ValueError(f"{ast.unparse(node)!r} is no formula")


def _in(node: ast.expr, least: int) -> str:
    """A part of something that holds together at least so tightly, in brackets if it must."""
    text, tightness = _walk(node)
    return text if tightness >= least else f"({text})"
