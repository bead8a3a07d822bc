"""Small programs and chips for the tests of timing, written as words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from accelc.chip import Chip, load_chip
from accelc.isa import Queue, Word, by_name, encode, make
from accelc.program import HostCall, LayerInfo, Program

L, S, M, V, H = Queue.LOAD, Queue.STORE, Queue.MAC, Queue.VECTOR, Queue.HOST


def chip_with(base: str = "edge", **parts: Mapping[str, Any]) -> Chip:
    """Return a shipped chip with some values replaced, e.g. dram={"banks": 4}."""
    values = load_chip(base).model_dump(exclude_none=True)
    for part, changes in parts.items():
        for key, value in changes.items():
            values[part][key] = {**values[part][key], **value} if isinstance(value, dict) else value
    return Chip.model_validate(values)


def word(name: str, wait: Mapping[Queue, int] | None = None, **operands: int | float) -> Word:
    """Return an instruction; operands that are not given take small legal values."""
    made = by_name(name)
    filled: dict[str, int | float] = {f.name: 1.0 if f.operand.real else 0 for f in made.fields}
    ones = ("rows", "cols", "bytes", "pixels", "n", "groups", "taps_y", "taps_x", "in_rows", "in_cols")
    filled |= dict.fromkeys((*ones, "kernel_y", "kernel_x", "stride_y", "stride_x", "dilation_y", "dilation_x"), 1)
    filled |= {"depth": 4, **({"n": 16} if name == "conv" else {}), **operands}
    return make(made, wait, **{f.name: filled[f.name] for f in made.fields})


def program(words: Sequence[Word], layers: Sequence[int] | None = None, hosts: Sequence[float] = ()) -> Program:
    """Return a program of these words; `hosts` gives the seconds of each host call."""
    layer_of = np.array(layers if layers is not None else [0] * len(words), np.int32)
    info = [LayerInfo(f"layer{k}", "Conv", (), 0, "ws", {}, 0, 0) for k in range(int(layer_of.max(initial=0)) + 1)]
    return Program(
        name="test", chip="test", fingerprint="", words=encode(words), constants=np.zeros(0, np.uint8),
        dram_bytes=1 << 30, inputs=(), outputs=(), layers=tuple(info), layer_of=layer_of,
        hosts=tuple(HostCall(f"host{k}", "Op", "", b"", (), (), s) for k, s in enumerate(hosts)),
    )  # fmt: skip
