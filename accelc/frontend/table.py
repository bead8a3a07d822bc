"""Every operator the importer knows: the lowering functions and QOperator expansions by (domain, operator)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from accelc.frontend import activation, conv, conv_transpose, elementwise, matmul, norm, pool, quantized, shape
from accelc.frontend.node import Lowering

LOWERINGS: Mapping[tuple[str, str], Lowering] = MappingProxyType(
    {
        (entry.domain, entry.op): entry
        for family in (conv, conv_transpose, matmul, pool, activation, norm, elementwise, shape, quantized)
        for entry in family.LOWERINGS
    }
)

EXPANSIONS = quantized.EXPANSIONS
