"""Every operator that has a form on 32-bit numbers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from accelc.frontend.host import HOST_LOWERINGS
from accelc.frontend.node import Lowering
from accelc.frontend.real import (
    activation,
    control,
    elementwise,
    functions,
    matmul,
    max_roi,
    movement,
    norm,
    quantization,
    recurrent,
    reduce,
    resize,
    sample,
    window,
)

_FAMILIES = (
    activation,
    control,
    elementwise,
    functions,
    matmul,
    max_roi,
    movement,
    norm,
    quantization,
    recurrent,
    reduce,
    resize,
    sample,
    window,
)

REAL_LOWERINGS: Mapping[tuple[str, str], Lowering] = MappingProxyType(
    {(e.domain, e.op): e for e in (*(e for family in _FAMILIES for e in family.LOWERINGS), *HOST_LOWERINGS)}
)
