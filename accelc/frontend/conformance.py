"""ONNX's own node tests: which concern the operators claimed, and which of them are refused, with the reason."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from accelc.frontend.real.table import REAL_LOWERINGS
from accelc.frontend.table import EXPANSIONS, LOWERINGS

if TYPE_CHECKING:
    from onnx.backend.test.case.test_case import TestCase

CLAIMED = frozenset(op for domain, op in (*LOWERINGS, *REAL_LOWERINGS, *EXPANSIONS) if not domain)
"""The operators of the standard domain that are imported."""

# Names of tests, as regular expressions.
REFUSED: Mapping[str, str] = MappingProxyType(
    {
        r".*(FLOAT8|FLOAT4|INT4|INT2|e4m3|e5m2|uint4|int4|uint2|int2|float4).*": "float8 and types below 8 bits",
        r".*to_BFLOAT16.*|.*_BFLOAT16_.*|test_attention_.*_bf16": "bfloat16",
        r"test_attention_4d_causal_fp16": "float16 whose steps are each rounded",
        r"test_equal_string.*": "text",
        r"test_identity_(sequence|opt)|test_if_opt|test_loop1._seq.*": "sequences and optional values",
        r"test_batchnorm_.*training_mode|test_training_dropout.*": "training",
        r"test_not_\dd": "opset 1 (7 and newer are supported)",
        r"test_scan_sum": "Scan of opset 8",
        r".*(_tri[lu]_zero|_zero_size_splits.*|_start_out_of_bounds)": "tensors without elements",
        r".*(_allowzero_reordered|_non_reduced_axis_zero)": "tensors without elements",
        r"test_gridsample_volumetric.*": "images of three dimensions",
    }
)


def reason(name: str) -> str | None:
    """Return why a node test is refused, None if it is expected to pass."""
    return next((why for pattern, why in REFUSED.items() if re.fullmatch(pattern, name)), None)


@cache
def cases() -> Mapping[str, TestCase]:
    """Return the tests of one node of a claimed operator, by name, in a fixed order."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the expected values are computed here, with overflows
        collected = collect_testcases(None)
    found = {}
    for case in collected:
        nodes = [] if case.model is None else case.model.graph.node
        if len(nodes) == 1 and nodes[0].domain in ("", "ai.onnx") and nodes[0].op_type in CLAIMED:
            found[case.name] = case
    return MappingProxyType(dict(sorted(found.items())))


@cache
def counts() -> Mapping[str, tuple[int, int, tuple[str, ...]]]:
    """Return, by operator, node tests passed, in all, and why the others are refused (a test holds this true)."""
    passed: Counter[str] = Counter()
    total: Counter[str] = Counter()
    reasons: dict[str, dict[str, None]] = {}
    for name, case in cases().items():
        assert case.model is not None
        op, why = case.model.graph.node[0].op_type, reason(name)
        total[op] += 1
        passed[op] += why is None
        if why is not None:
            reasons.setdefault(op, {})[why] = None
    return {op: (passed[op], total[op], tuple(reasons.get(op, ()))) for op in total}
