"""Products of matrices and sums of products in general."""

from __future__ import annotations

from math import prod

import numpy as np

from accelc.frontend.builder import Builder
from accelc.frontend.node import Lowering, Node
from accelc.frontend.real.steps import Steps

_NAMES = "abcdefghijklmnopqrstuvw"


def product(s: Steps, a: str, other: str) -> str:
    """Return the matrix product as NumPy's matmul: leading axes broadcast, a vector is a row or a column."""
    left, right = s.shape(a), s.shape(other)
    wide = (1, *left) if len(left) == 1 else left
    high = (*right, 1) if len(right) == 1 else right
    batch = np.broadcast_shapes(wide[:-2], high[:-2])
    first, row_names = _lead(s, a, wide, len(batch))
    second, column_names = _lead(s, other, high, len(batch))
    kept = "".join(c for c, n in zip(_NAMES, batch, strict=False) if n > 1)
    made = s.contract(f"{row_names}xy,{column_names}yz->{kept}xz", first, second)
    shape = [*batch, *(left[-2:-1] if len(left) > 1 else ()), *(right[-1:] if len(right) > 1 else ())]
    return s.reshape(made, shape)


def _lead(s: Steps, x: str, shape: tuple[int, ...], rank: int) -> tuple[str, str]:
    """Return an operand without leading axes of extent 1, and the letters of those it keeps."""
    names = _NAMES[rank - len(shape) + 2 : rank]
    kept = [k for k, n in enumerate(shape[:-2]) if n > 1]
    return s.reshape(x, (*(shape[k] for k in kept), *shape[-2:])), "".join(names[k] for k in kept)


def matmul(b: Builder, node: Node) -> None:
    """Product of two tensors of any rank, both perhaps computed at run time."""
    s = Steps(b, node)
    s.finish(product(s, node.input(0), node.input(1)))


def gemm(b: Builder, node: Node) -> None:
    """alpha * A * B + beta * C, either matrix transposed."""
    s = Steps(b, node)
    left = "yx" if node.get("transA", 0) else "xy"
    right = "zy" if node.get("transB", 0) else "yz"
    made = s.contract(f"{left},{right}->xz", node.input(0), node.input(1))
    if node.get("alpha", 1.0) != 1.0:
        made = s.map("mul", made, float(node.get("alpha")))
    if node.input(2):
        c = node.input(2)
        made = s.map("add", made, s.map("mul", c, float(node.get("beta"))) if node.get("beta", 1.0) != 1.0 else c)
    s.finish(made)


def einsum(b: Builder, node: Node) -> None:
    """Sum of products over the letters that the result lacks, for any number of operands; `...` broadcasts."""
    s = Steps(b, node)
    terms, result = _parsed(node.get("equation").replace(" ", ""), [len(s.shape(x)) for x in node.inputs])
    operands = [_diagonal(s, x, names) for x, names in zip(node.inputs, terms, strict=True)]
    operands = [_squeezed(s, x, names, operands) for x, names in operands]
    total, names = operands[0]
    for k, (other, letters) in enumerate(operands[1:], start=1):
        later = set(result).union(*(n for _, n in operands[k + 1 :]))
        kept = "".join(c for c in dict.fromkeys(names + letters) if c in later)
        total, names = s.contract(f"{names},{letters}->{kept}", total, other), kept
    summed = [a for a, c in enumerate(names) if c not in result]
    total = s.reduce("sum", total, summed)
    names = "".join(c for c in names if c in result)
    total = s.transpose(total, [names.index(c) for c in result if c in names])
    s.finish(s.reshape(total, b.result(node).shape))


def _parsed(equation: str, ranks: list[int]) -> tuple[list[str], str]:
    """Return the letters of each operand and of the result, with `...` written out in capitals."""
    left, arrow, result = equation.partition("->")
    terms = left.split(",")
    most = max(rank - len(t.replace("...", "")) for t, rank in zip(terms, ranks, strict=True))
    dots = "ABCDEFGH"[:most] if "..." in left else ""
    if not arrow:
        once = sorted(c for c in set(left) - set(",.") if left.count(c) == 1)
        result = ("..." if "..." in left else "") + "".join(once)
    written = []
    for term, rank in zip(terms, ranks, strict=True):
        own = rank - len(term.replace("...", ""))
        written.append(term.replace("...", dots[len(dots) - own :]))
    return written, result.replace("...", dots)


def _diagonal(s: Steps, x: str, names: str) -> tuple[str, str]:
    """Return an operand in which a letter that it has twice stands once: its diagonal."""
    for letter in dict.fromkeys(names):
        while names.count(letter) > 1:
            first, second = names.index(letter), names.rindex(letter)
            extent, shape = s.shape(x)[first], s.shape(x)
            rest = [a for a in range(len(names)) if a not in (first, second)]
            moved = s.transpose(x, [first, second, *rest])
            flat = s.reshape(moved, (extent * extent, *(shape[a] for a in rest)))
            x = s.take(flat, {0: [k * (extent + 1) for k in range(extent)]})
            names = letter + "".join(names[a] for a in rest)
    return x, names


def _squeezed(s: Steps, x: str, names: str, others: list[tuple[str, str]]) -> tuple[str, str]:
    """Return an operand without broadcast axes of extent 1 that another operand has at length."""
    lengths = {c: n for y, letters in others for c, n in zip(letters, s.shape(y), strict=True) if n > 1}
    drop = [a for a, c in enumerate(names) if s.shape(x)[a] == 1 and c in lengths]
    shape = [n for a, n in enumerate(s.shape(x)) if a not in drop]
    return s.reshape(x, shape), "".join(c for a, c in enumerate(names) if a not in drop)


def determinant(b: Builder, node: Node) -> None:
    """Determinants of small square matrices, expanded along the first row."""
    s = Steps(b, node)
    x = node.input(0)
    size = s.shape(x)[-1]
    if size > 4:
        raise node.refuse(f"matrices of {size} rows", "up to 4 would work")
    lead = s.shape(x)[:-2]
    flat = s.reshape(x, (prod(lead), size * size))
    cells = [[s.pick(flat, 1, i * size + j) for j in range(size)] for i in range(size)]
    s.finish(s.reshape(_minor(s, cells), lead))


def _minor(s: Steps, cells: list[list[str]]) -> str:
    if len(cells) == 1:
        return cells[0][0]
    total: str | None = None
    for j, cell in enumerate(cells[0]):
        rest = _minor(s, [row[:j] + row[j + 1 :] for row in cells[1:]])
        term = s.map("mul", cell, rest)
        total = term if total is None else s.map("sub" if j % 2 else "add", total, term)
    assert total is not None
    return total


LOWERINGS = (
    Lowering("MatMul", matmul, ("contract",)),
    Lowering("Gemm", gemm, ("contract", "map"), ("alpha", "beta", "transA", "transB")),
    Lowering("Einsum", einsum, ("contract", "reduce", "transpose"), ("equation",)),
    Lowering("Det", determinant, ("map",), (), ("matrices of more than 4 rows",)),
)
