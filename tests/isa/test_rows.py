"""Layers on 32-bit numbers worked off in parts give the bits of the whole; what joins rows is not cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from accelc.compiler import Options, compile_stages
from accelc.isa import rows
from accelc.isa.evaluate import evaluate
from accelc.isa.rows import cut_operands, in_parts
from accelc.run import run_compiled

Array = npt.NDArray[Any]
RNG = np.random.default_rng(5)


def floats(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


CASES: dict[str, tuple[str, dict[str, Any], list[Array], tuple[int, ...]]] = {
    "map": ("map", {"steps": (("mul", 0, 1), ("add", 3, 2))}, [floats(7, 5), floats(5), floats(1, 5)], (7, 5)),
    "map of columns": ("map", {"steps": (("add", 0, 1),)}, [floats(7, 1), floats(1, 5)], (7, 5)),
    "gather": ("gather", {}, [floats(4, 3), RNG.integers(-4, 4, (7, 2)).astype(np.int32)], (7, 2, 3)),
    "reduce": ("reduce", {"fn": "sum", "axes": (1,)}, [floats(7, 5, 2)], (7, 1, 2)),
    "reshape": ("reshape", {}, [floats(7, 6)], (7, 2, 3)),
    "transpose": ("transpose", {"perm": (0, 2, 1)}, [floats(7, 5, 2)], (7, 2, 5)),
    "take": ("take", {"tables": (None, (1, -1, 0)), "value": 2.0}, [floats(7, 2)], (7, 3)),
}


@pytest.mark.parametrize("name", CASES)
def test_parts_make_the_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    op, attrs, operands, shape = CASES[name]
    whole = evaluate(op, attrs, operands, shape)
    calls = []

    def counted(op: str, attrs: Any, operands: Sequence[Array], shape: tuple[int, ...]) -> Array:
        calls.append(shape[0])
        return evaluate(op, attrs, operands, shape)

    monkeypatch.setattr(rows, "LARGE_BYTES", 4 * (whole.size + sum(x.size for x in operands)) // 3)
    found = in_parts(op, attrs, operands, shape, counted)
    assert sum(calls) == 7
    assert len(calls) > 2
    np.testing.assert_array_equal(found, whole, strict=True)


@pytest.mark.parametrize(
    ("op", "attrs", "shapes", "result"),
    [
        ("reduce", {"fn": "sum", "axes": (0,)}, [(7, 5)], (1, 5)),
        ("reshape", {}, [(6, 7)], (7, 6)),
        ("transpose", {"perm": (1, 0)}, [(5, 7)], (7, 5)),
        ("take", {"tables": ((0, 1), None), "value": 0.0}, [(7, 2)], (2, 2)),
        ("contract", {"equation": "ij,jk->ik"}, [(7, 5), (5, 7)], (7, 7)),
        ("scatter", {"fn": "add"}, [(7, 2), (3,), (3, 2)], (7, 2)),
        ("concat", {"axis": 0}, [(3, 2), (4, 2)], (7, 2)),
        ("gather", {}, [(7, 2), ()], (2,)),
    ],
)
def test_what_joins_rows_stays_whole(op: str, attrs: Any, shapes: list[tuple[int, ...]], result: Any) -> None:
    assert cut_operands(op, attrs, shapes, result) is None


@pytest.mark.parametrize("name", ["rcnn", "lstm"])
def test_a_network_in_parts_has_the_same_integers(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calibration, simulator and reference cut every layer they can; nothing may show."""
    whole = run_compiled(compile_stages(name, "edge", Options(tiny=True)))
    monkeypatch.setattr(rows, "LARGE_BYTES", 64)
    cut = run_compiled(compile_stages(name, "edge", Options(tiny=True)))
    assert cut.check.elements == whole.check.elements > 0
    assert cut.check.mismatches == 0
    for key, value in whole.integers.items():
        np.testing.assert_array_equal(cut.integers[key], value, strict=True)
