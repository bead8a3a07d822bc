"""Hypothesis strategies: legal instructions, words and small programs."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from accelc.isa import TABLE, Instruction, Queue, Word, encode, make
from accelc.isa.core import Field
from accelc.isa.encoding import wait_bits
from accelc.program import HostCall, LayerInfo, Port, Program, Region

# Operands whose rule a random integer would rarely keep: the step they move in, or their greatest value.
STEPS = {
    ("conv", "depth"): 4, ("conv", "n"): 16, ("conv16", "depth"): 2, ("conv16", "n"): 16, "params": 8, "table": 4,
}  # fmt: skip
MOST = {(name, "dataflow"): 1 for name in ("conv", "depthwise", "conv16", "depthwise16")} | {
    ("conv16", "n"): 64, ("conv16", "groups"): 4, ("depthwise16", "n"): 255,
}  # fmt: skip

DRAM_BYTES = 4096


def field_values(made: Instruction, f: Field) -> st.SearchStrategy[int | float]:
    """Return values that fit a field, biased to keep the instruction's rule."""
    if f.operand.real:
        return st.floats(width=32, allow_nan=False, allow_infinity=False)
    low, high = f.operand.bounds
    key = (made.name, f.name)
    ruled = "rule" in made.clauses and f.name in made.operand_names("rule")
    even = ruled and made.name.endswith("16") and (f.operand.space or f.name.endswith(("_row", "_col", "_group")))
    step = STEPS.get(key, STEPS.get(f.name, 2 if even else 1))
    high = MOST.get(key, high)
    if ruled and f.operand.space is None and f.name != "dataflow":
        low = max(low, 1)
    return st.integers(-(-low // step), high // step).map(lambda v: v * step)


def operands(made: Instruction) -> st.SearchStrategy[dict[str, int | float]]:
    """Return operands over their full range that keep the instruction's rule."""
    drawn = st.fixed_dictionaries({f.name: field_values(made, f) for f in made.fields})
    return drawn.filter(lambda values: not _complaint(made, values))


def _complaint(made: Instruction, values: dict[str, int | float]) -> str:
    if "rule" not in made.clauses:
        return ""
    return str(made.clauses["rule"](**{n: values[n] for n in made.operand_names("rule")}))


def waits() -> st.SearchStrategy[dict[Queue, int]]:
    """Return counts to wait for, for some of the queues."""
    return st.fixed_dictionaries({}, optional={q: st.integers(1, (1 << wait_bits(q)) - 1) for q in Queue})


def words() -> st.SearchStrategy[Word]:
    """Return legal words of any instruction, on any core that a word can name."""
    return st.sampled_from(sorted(TABLE)).flatmap(
        lambda opcode: st.builds(
            lambda wait, core, values: make(TABLE[opcode], wait, core, **values),
            waits(),
            st.integers(0, 15 if TABLE[opcode].queue.of_core else 0),
            operands(TABLE[opcode]),
        )
    )


def ports() -> st.SearchStrategy[Port]:
    """Return ports inside DRAM_BYTES of memory."""
    extent = st.integers(1, 3)
    return st.builds(
        Port,
        name=st.text(max_size=6),
        shape=st.lists(extent, max_size=4).map(tuple),
        dtype=st.sampled_from(["float32", "int8", "uint8", "int32"]),
        stored=st.sampled_from(["int8", "uint8", "int32"]),
        scale=st.floats(allow_nan=False, allow_infinity=False),
        zero_point=st.integers(-128, 255),
        address=st.integers(0, 1024),
        extents=st.tuples(extent, extent, extent, extent),
        pitch=st.integers(0, 64),
    )


def _layers() -> st.SearchStrategy[LayerInfo]:
    count = st.integers(0, 1 << 60)
    return st.builds(
        LayerInfo,
        name=st.text(max_size=8),
        op=st.sampled_from(["conv", "fc", "host"]),
        source=st.lists(st.text(max_size=4), max_size=2).map(tuple),
        macs=count,
        dataflow=st.sampled_from(["ws", "os", ""]),
        tile=st.dictionaries(st.sampled_from(["rows", "n", "depth"]), count),
        lower_bound_cycles=count,
        predicted_cycles=count,
        predicted=st.dictionaries(st.sampled_from(["array", "dma_wait", "vector"]), count),
        lower_bound_dram_bytes=count,
        lower_bound_energy_j=st.floats(0, 1),
        stage=st.integers(-1, 5),
    )


def _constants() -> st.SearchStrategy[bytes]:
    chunk = st.one_of(st.binary(max_size=40), st.integers(0, 900).map(bytes))
    return st.lists(chunk, max_size=4).map(b"".join)


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Return small programs with every part filled; legal, though they would compute nothing of use."""
    layers = tuple(draw(st.lists(_layers(), max_size=3)))
    few_ports = st.lists(ports(), max_size=2).map(tuple)
    call = st.builds(
        HostCall, name=st.text(max_size=4), op_type=st.just("NonMaxSuppression"), reason=st.text(max_size=9),
        model=st.binary(max_size=1000), inputs=few_ports, outputs=few_ports, seconds=st.floats(0, 1),
    )
    hosts = tuple(draw(st.lists(call, max_size=2)))
    drawn = [w for w in draw(st.lists(words(), max_size=6)) if w.instruction.name != "stream"]
    code = [w for w in drawn if w.operands.get("index", -1) < len(hosts)]
    layer = st.integers(-1, len(layers) - 1)
    at = st.integers(0, 2000)
    done = st.integers(0, len(code))
    region = st.builds(Region, st.text(max_size=4), at, at, layer, layer, done, st.one_of(st.none(), ports()))
    return Program(
        name=draw(st.text(max_size=9)), chip="edge", fingerprint="0123456789abcdef", words=encode(code),
        constants=np.frombuffer(draw(_constants()), np.uint8), dram_bytes=DRAM_BYTES,
        inputs=draw(few_ports), outputs=draw(few_ports), layers=layers,
        layer_of=np.array([draw(layer) for _ in code], np.int32),
        regions=tuple(draw(st.lists(region, max_size=2))), hosts=hosts,
        notes=draw(st.dictionaries(st.text(max_size=4), st.one_of(st.integers(), st.text(max_size=5), st.none()))),
    )
