"""All mutants of a source file, as text.

The mutations are cosmic-ray's, without those that only repeat what another one shows: an arithmetic
or comparison operator is replaced by two others and not by all, a minus is taken away and not
turned into something else. Two are added, in cosmic-ray's terms, that find more than most: a
statement left out, and a keyword argument left out of a call.

No mutants are what differs in type annotations, docstrings and ``__all__`` alone, what Python does
not compile, and what has the same syntax tree as another. Error messages and ``extra_repr`` are
mutated like everything else, but no operator changes a text.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

from cosmic_ray.ast import Visitor, ast_nodes, get_ast
from cosmic_ray.operators.operator import Operator
from cosmic_ray.operators.provider import OperatorProvider
from parso.python.tree import Keyword, Name
from parso.tree import search_ancestor

ARITHMETIC = {
    "Add": ("Sub", "Mul"),
    "Sub": ("Add", "Mul"),
    "Mul": ("Div", "Add"),
    "Div": ("Mul", "Sub"),
    "FloorDiv": ("Mul", "Div"),
    "Mod": ("FloorDiv", "Add"),
    "Pow": ("Mul", "Add"),
}
#: The boundary, and the opposite.
COMPARISONS = {
    "Eq": ("GtE", "NotEq"),
    "NotEq": ("Gt", "Eq"),
    "Lt": ("LtE", "GtE"),
    "LtE": ("Lt", "Gt"),
    "Gt": ("GtE", "LtE"),
    "GtE": ("Gt", "Lt"),
    "Is": ("IsNot",),
    "IsNot": ("Is",),
}
OTHERS = (
    "AddNot",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceUnaryOperator_Delete_USub",
    "ReplaceUnaryOperator_Delete_Not",
    "ReplaceUnaryOperator_Delete_Invert",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "ExceptionReplacer",
    "NumberReplacer",
    "RemoveDecorator",
    "ZeroIterationForLoop",
)


class DeleteStatement(Operator):
    """Leave out a call, a ``raise`` or an assignment inside a function."""

    kinds = frozenset({"expr_stmt", "atom_expr", "raise_stmt"})

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        simple = node.type == "simple_stmt" and node.children[0].type in self.kinds
        if simple and search_ancestor(node, "funcdef"):
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        first = node.get_first_leaf()
        node.children[0] = Keyword("pass", first.start_pos, first.prefix)
        return node

    @classmethod
    def examples(cls) -> tuple[()]:
        return ()


class DropKeyword(Operator):
    """Leave a keyword argument out of a call (``**{}`` stands for nothing)."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        if node.type == "argument" and node.children[1] == "=":
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        first = node.get_first_leaf()
        return Name("**{}", first.start_pos, first.prefix)

    @classmethod
    def examples(cls) -> tuple[()]:
        return ()


class _Nth(Visitor):
    """Apply an operator where it can be applied for the n-th time."""

    def __init__(self, operator: Operator, n: int) -> None:
        self.operator, self.n = operator, n

    def visit(self, node: Any) -> Any:
        for index, _ in enumerate(self.operator.mutation_positions(node)):
            self.n -= 1
            if self.n == -1:
                return self.operator.mutate(node, index)
        return node


def _operators() -> list[Operator]:
    core = OperatorProvider()
    names = [f"ReplaceBinaryOperator_{a}_{b}" for a, to in ARITHMETIC.items() for b in to]
    names += [f"ReplaceComparisonOperator_{a}_{b}" for a, to in COMPARISONS.items() for b in to]
    return [*(core[name]() for name in (*names, *OTHERS)), DeleteStatement(), DropKeyword()]


def mutants(code: str) -> Iterator[str]:
    """Every mutant of ``code``, each with another syntax tree."""
    seen = {ast.dump(_bare(code))}
    nodes = list(ast_nodes(get_ast(code)))
    for operator in _operators():
        positions = sum(len(list(operator.mutation_positions(node))) for node in nodes)
        for n in range(positions):
            mutant = _Nth(operator, n).walk(get_ast(code)).get_code()
            try:
                tree = ast.dump(_bare(mutant))
                compile(mutant, "<mutant>", "exec")
            except SyntaxError:
                continue
            if tree not in seen:
                seen.add(tree)
                yield mutant


class Change(NamedTuple):
    """What a mutant changes, in words that stay the same when lines move."""

    where: str  #: class and function, such as ``CBAM.forward``
    line: str  #: the statement (of a compound one its head), in ``ast.unparse``'s layout
    becomes: str


def change(code: str, mutant: str) -> Change:
    """Where the two differ."""
    before, after = _original(code), list(_statements(_bare(mutant)))
    shorter = min(len(before), len(after))
    head = next((i for i in range(shorter) if before[i] != after[i]), shorter)
    rest = shorter - head
    tail = next((i for i in range(rest) if before[-1 - i] != after[-1 - i]), rest)
    old, new = before[head : len(before) - tail], after[head : len(after) - tail]
    return Change(old[0][0], *("; ".join(text for _, text in part) for part in (old, new)))


# --- syntax trees -------------------------------------------------------------------------------


@functools.cache
def _original(code: str) -> list[tuple[str, str]]:
    return list(_statements(_bare(code)))


class _Bare(ast.NodeTransformer):
    """Takes away annotations, docstrings and ``__all__``."""

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is None:
            return ast.Pass()
        return self.visit_Assign(ast.Assign([node.target], node.value))

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        self.generic_visit(node)
        return ast.Pass() if ast.unparse(node.targets[0]) == "__all__" else node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        self.generic_visit(node)
        return ast.Pass() if isinstance(node.value, ast.Constant) else node


def _bare(code: str) -> ast.AST:
    return ast.fix_missing_locations(_Bare().visit(ast.parse(code)))


def _statements(node: ast.AST, where: str = "") -> Iterator[tuple[str, str]]:
    """Each statement, and each head of a compound one, with the function it stands in."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.stmt, ast.excepthandler)):
            continue
        inside = where
        if isinstance(child, (ast.FunctionDef, ast.ClassDef)):
            inside = f"{where}.{child.name}".lstrip(".")
            yield from ((inside, f"@{ast.unparse(item)}") for item in child.decorator_list)
        yield inside, _head(child)
        yield from _statements(child, inside)


def _head(node: ast.AST) -> str:
    fields = dict(ast.iter_fields(node))
    if not isinstance(fields.get("body"), list):
        return ast.unparse(node)
    emptied = {"orelse", "finalbody", "handlers", "decorator_list"} & fields.keys()
    short = type(node)(**{**fields, **{name: [] for name in emptied}, "body": [ast.Pass()]})
    return ast.unparse(ast.fix_missing_locations(short)).splitlines()[0]
