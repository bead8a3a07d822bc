"""Streams: operations on 32-bit numbers equal their definitions, operands are read and written where they lie."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from accelc.arithmetic import dequantize_array, quantize_array
from accelc.chip import load_chip
from accelc.compiler import Options, compile_stages
from accelc.errors import ProgramError
from accelc.graph import Quant
from accelc.isa.evaluate import evaluate
from accelc.isa.real import FUNCTIONS, REDUCTIONS, UPDATES
from accelc.isa.stream import Demand, demand, stream
from accelc.program import Operand, StreamCall
from accelc.program_records import check_program
from accelc.run import run_compiled
from accelc.sim.kernels import chain
from accelc.sim.kernels.real import OPERATIONS
from accelc.sim.packing import pack, run_one
from accelc.sim.stream import read_operand, run_stream, write_operand

Array = npt.NDArray[Any]


def numbers(rng: np.random.Generator, shape: tuple[int, ...], kind: str, strange: bool = False) -> Array:
    if kind == "i":
        return rng.integers(-(1 << 31), 1 << 31, shape).astype(np.int32)
    x = np.asarray(rng.standard_normal(shape) * rng.choice([0.1, 1, 30]), np.float32)
    if strange and x.size:
        x.reshape(-1)[rng.integers(0, x.size)] = rng.choice([np.nan, np.inf, -np.inf, 0.0])
    return x


def run_packed(dram: Array, call: StreamCall) -> bool:
    """Run a stream as the loop over instructions does; say whether it is one that the loop knows."""
    return bool(run_one(dram, pack([call], dram.size), 0))


def same(op: str, attrs: dict[str, Any], operands: list[Array], shape: tuple[int, ...]) -> None:
    with np.errstate(all="ignore"):
        expected = evaluate(op, attrs, operands, shape)
    found = OPERATIONS[op](attrs, operands, shape)
    assert found.shape == expected.shape, (op, attrs)
    assert found.dtype == expected.dtype, (op, attrs)
    np.testing.assert_array_equal(found, expected, str((op, attrs)))


def test_reductions_equal_their_definition() -> None:
    """In every bit, along any axes, with equal extremes and what is no number."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        shape = tuple(rng.integers(1, 6, rng.integers(1, 5)).tolist())
        axes = tuple(sorted(rng.choice(len(shape), rng.integers(1, len(shape) + 1), replace=False).tolist()))
        fn = str(rng.choice(REDUCTIONS))
        x = numbers(rng, shape, str(rng.choice(["f", "i"])), strange=not fn.startswith("arg"))
        if fn.startswith("arg"):
            x = np.round(x / max(abs(int(np.max(np.abs(x.astype(float)))) // 2), 1)).astype(x.dtype)
        made = tuple(1 if a in axes else n for a, n in enumerate(shape))
        same("reduce", {"fn": fn, "axes": axes}, [x], made)


def test_contractions_equal_their_definition() -> None:
    """Batch letters, letters of one operand alone, summed ones, in any order; integers wrap."""
    rng = np.random.default_rng(1)
    for _ in range(200):
        extents = {c: int(rng.integers(1, 5)) for c in "abcdef"}
        left = "".join(rng.permutation(list("abcdef"))[: rng.integers(1, 5)])
        right = "".join(rng.permutation(list("abcdef"))[: rng.integers(1, 5)])
        both = "".join(dict.fromkeys(left + right))
        result = "".join(rng.permutation([c for c in both if rng.random() < 0.6]))
        kind = str(rng.choice(["f", "i"]))
        operands = [numbers(rng, tuple(extents[c] for c in names), kind) for names in (left, right)]
        same("contract", {"equation": f"{left},{right}->{result}"}, operands, tuple(extents[c] for c in result))


def test_selections_equal_their_definition() -> None:
    """Tables with gaps, indices from the end and beyond it, joins in order."""
    rng = np.random.default_rng(2)
    for _ in range(200):
        shape = tuple(rng.integers(1, 5, rng.integers(1, 4)).tolist())
        kind = str(rng.choice(["f", "i"]))
        x = numbers(rng, shape, kind)
        tables = [None if rng.random() < 0.4 else rng.integers(-1, n, rng.integers(1, 6)).tolist() for n in shape]
        goal = tuple(n if t is None else len(t) for n, t in zip(shape, tables, strict=True))
        same("take", {"tables": tables, "value": 3.0}, [x], goal)
        index = rng.integers(-shape[0] - 2, shape[0] + 2, (2, 3)).astype(np.int32)
        same("gather", {}, [x, index], (2, 3, *shape[1:]))
        updates = numbers(rng, (2, 3, *shape[1:]), kind)
        same("scatter", {"fn": str(rng.choice(UPDATES))}, [x, index, updates], shape)


def test_chains_of_functions_equal_their_definition() -> None:
    """Blocks do not show: a chain over many elements equals it over all at once."""
    rng = np.random.default_rng(3)
    names = [n for n, f in FUNCTIONS.items() if f.operands == 1 and f.result in ("same", "float") and n != "to_int"]
    for _ in range(60):
        x, y = numbers(rng, (700, 101), "f", strange=True), numbers(rng, (101,), "f")
        first, second = (str(rng.choice(names)) for _ in range(2))
        steps = ((first, 0), ("mul", 2, 1), (second, 3), ("where", 0, 4, 1))
        same("map", {"steps": steps}, [x, y], (700, 101))


def test_compiled_chains_equal_their_plain_form() -> None:
    """In every bit, on tensors as they lie in DRAM: repeated along axes, with gaps, as bytes and as integers."""
    rng = np.random.default_rng(5)
    binary = [name for name in chain.FUNCTIONS if FUNCTIONS[name].operands == 2]
    unary = [name for name in chain.FUNCTIONS if FUNCTIONS[name].operands == 1]
    count = 0
    for _ in range(120):
        rows, cols = int(rng.integers(1, 4)), int(rng.choice([16, 40, 1100]))
        kinds = [str(kind) for kind in rng.choice(["float32", "int8", "uint8"], 3)]
        shapes = [(rows, cols), (1, cols), (rows, 1)]
        places = [(128, kinds[0], shapes[0]), (1 << 15, kinds[1], shapes[1]), (1 << 16, kinds[2], shapes[2])]
        tensors = [_operand(rng, *place) for place in places] + [_operand(rng, 3 << 15, "int32", (cols,))]
        output = _operand(rng, 1 << 17, str(rng.choice(["float32", "int8", "uint8"])), (rows, cols))
        steps = [("to_float", 3)]
        for k in range(4, 4 + int(rng.integers(1, 6))):
            name = str(rng.choice(binary if rng.random() < 0.5 else unary))
            steps.append((name, *rng.choice([0, 1, 2, *range(4, k + 1)], FUNCTIONS[name].operands).tolist()))
        call = StreamCall("s", "map", {"steps": steps}, tuple(tensors), output)
        fast = rng.integers(0, 256, 1 << 18).astype(np.uint8)
        for tensor in tensors:
            if tensor.stored == "float32":
                write_operand(fast, tensor, numbers(rng, tensor.shape, "f", strange=True))
        plain = fast.copy()
        if run_packed(fast, call):
            count += 1
            run_stream(plain, call)
            np.testing.assert_array_equal(read_operand(fast, output), read_operand(plain, output), str(call))
    assert count > 60


@pytest.mark.parametrize("name", ["exp", "tanh", "sigmoid"])
def test_quick_curves_equal_their_definition(name: str) -> None:
    """On numbers of every size and kind, and where the quick exponential takes another power of 2 than the definition.

    Blocks hold no NaN but one: a block that holds one is worked out by the definition.
    """
    rng, count = np.random.default_rng(11), 1 << 18
    every = rng.integers(0, 1 << 32, count, np.uint64).astype(np.uint32).view(np.float32)
    ties = ((np.arange(-160, 160) + 0.5) * np.log(2)).astype(np.float32)[:, None]
    near = (ties.view(np.int32) + np.arange(-8, 8, dtype=np.int32)).view(np.float32).ravel()
    values = np.concatenate([rng.normal(0, 30, count).astype(np.float32), near, near / 2, every[~np.isnan(every)]])
    values = np.append(values, [np.float32(np.nan), np.float32(np.inf), np.float32(-np.inf)])
    fast = values.view(np.uint8).copy()
    x = Operand(0, "float32", values.shape, (4,))
    assert run_packed(fast, StreamCall("s", "map", {"steps": [(name, 0)]}, (x,), x))
    np.testing.assert_array_equal(fast.view(np.float32), FUNCTIONS[name].define(values))


def test_compiled_chains_may_write_over_an_operand() -> None:
    """A curve may read its operand twice, so a result in its operand's place is not written before that."""
    count = 5000
    x = Operand(0, "float32", (count,), (4,))
    fast = np.linspace(-9, 9, count, dtype=np.float32).view(np.uint8).copy()
    plain = fast.copy()
    call = StreamCall("s", "map", {"steps": [("sigmoid", 0), ("add", 1, 0), ("tanh", 2)]}, (x,), x)
    for dram, run in ((fast, run_packed), (plain, run_stream)):
        for steps in ([("exp", 0)], call.attrs["steps"]):
            run(dram, replace(call, attrs={"steps": steps}))
    np.testing.assert_array_equal(fast, plain)


@pytest.mark.parametrize("fn", ["sum", "prod", "max", "min"])
def test_compiled_reductions_equal_their_plain_form(fn: str) -> None:
    """In every bit, of lines longer and shorter than what is taken at once, with NaN, infinities, signed zeros."""
    rng = np.random.default_rng(8)
    for lines, count in ((1, 1), (3, 63), (9, 64), (5, 200), (6, 1000)):
        values = numbers(rng, (lines, count), "f")
        odd = rng.random(values.shape) < 0.02
        values[odd] = rng.choice(np.array([np.nan, np.inf, -np.inf], np.float32), int(odd.sum()))
        values[: lines // 2] = np.where(rng.random((lines // 2, count)) < 0.5, np.float32(0.0), np.float32(-0.0))
        x = Operand(64, "float32", (lines, count), (4 * count, 4))
        y = Operand(1 << 16, "float32", (lines, 1), (4, 4))
        fast = np.zeros(1 << 17, np.uint8)
        write_operand(fast, x, values)
        plain = fast.copy()
        call = StreamCall("s", "reduce", {"fn": fn, "axes": (1,)}, (x,), y)
        assert run_packed(fast, call)
        run_stream(plain, call)
        np.testing.assert_array_equal(fast, plain)  # bytes: signs of zeros too


@pytest.mark.parametrize(
    ("source", "goal", "step"), [("float32", "uint8", 4), ("int8", "float32", 1), ("uint8", "int8", 1)]
)
def test_compiled_selections_equal_their_plain_form(source: str, goal: str, step: int) -> None:
    """Rows of reals by integers from either end and beyond them, as bytes side by side or apart, and beside gaps."""
    rng = np.random.default_rng(9)
    size, out = (4 if kind == "float32" else 1 for kind in (source, goal))
    x = Operand(0, source, (20, 30), (160, size), 0.5, 3)
    index = Operand(1 << 13, "int32", (3, 2), (8, 4))
    y = Operand(1 << 14, goal, (3, 2, 30), (2 * 200, 200, out * step), 0.02, 7)
    fast = rng.integers(0, 256, 1 << 15).astype(np.uint8)
    if source == "float32":
        write_operand(fast, x, numbers(rng, x.shape, "f"))
    write_operand(fast, index, rng.integers(-24, 24, index.shape).astype(np.int32))
    plain = fast.copy()
    call = StreamCall("s", "gather", {}, (x, index), y)
    assert run_packed(fast, call)
    run_stream(plain, call)
    np.testing.assert_array_equal(fast, plain)


def test_reductions_and_selections_that_are_not_compiled_run_in_their_plain_form() -> None:
    """Axes that are not the last, indices of extremes, integers, elements with gaps, a result over its operand."""
    x, y = Operand(0, "float32", (8, 32), (128, 4)), Operand(1024, "float32", (8, 1), (4, 4))
    index = Operand(2048, "int32", (3,), (4,))
    rows = Operand(2112, "float32", (3, 32), (128, 4))
    cases: list[tuple[str, dict[str, Any], tuple[Operand, ...], Operand]] = [
        ("reduce", {"fn": "sum", "axes": (0,)}, (x,), replace(y, shape=(1, 32), strides=(128, 4))),
        ("reduce", {"fn": "argmax", "axes": (1,)}, (x,), replace(y, stored="int32")),
        ("reduce", {"fn": "max", "axes": (1,)}, (replace(x, stored="int32"),), replace(y, stored="int32")),
        ("reduce", {"fn": "max", "axes": (1,)}, (replace(x, strides=(120, 4)),), y),
        ("reduce", {"fn": "max", "axes": (1,)}, (x,), replace(y, address=64)),
        ("gather", {}, (replace(x, stored="int32"), index), replace(rows, stored="int32")),
        ("gather", {}, (x, index), replace(rows, address=512)),
        ("gather", {}, (replace(x, shape=(4, 32), strides=(256, 8)), index), rows),
    ]
    for op, attrs, operands, result in cases:
        dram = np.zeros(4096, np.uint8)
        call = StreamCall("s", op, attrs, operands, result)
        assert not run_packed(dram, call), call
        run_stream(dram, call)


def _operand(rng: np.random.Generator, address: int, stored: str, shape: tuple[int, ...]) -> Operand:
    size = 1 if stored in ("int8", "uint8") else 4
    row = shape[-1] * size + int(rng.choice([0, 24]))
    strides = (row, size) if len(shape) == 2 else (size,)
    return Operand(address, stored, shape, strides, float(rng.choice([0.02, 1.5])), int(rng.integers(0, 9)))


@pytest.mark.parametrize("name", ["exp", "tanh", "sigmoid"])
def test_curves_are_the_definitions_for_any_number(name: str) -> None:
    """Random bits, and numbers where curves bend: quick exponentials make no difference to a single bit."""
    rng, count = np.random.default_rng(7), 1 << 19
    bits = rng.integers(0, 1 << 32, count // 2, dtype=np.uint32).view(np.float32)
    small = np.exp(rng.uniform(-9, 4, count // 2)) * rng.choice([-1, 1], count // 2)
    x, y = (Operand(a, "float32", (count,), (4,)) for a in (0, 4 * count))
    call = StreamCall("s", "map", {"steps": [(name, 0)]}, (x,), y)
    fast = np.zeros(8 * count, np.uint8)
    write_operand(fast, x, np.concatenate([bits, small.astype(np.float32)]))
    plain = fast.copy()
    assert run_packed(fast, call)
    run_stream(plain, call)
    np.testing.assert_array_equal(read_operand(fast, y), read_operand(plain, y))


def test_chains_that_are_not_compiled_run_in_their_plain_form() -> None:
    """A function of integers, a result over an operand that lies elsewhere, elements with gaps."""
    dram = np.zeros(4096, np.uint8)
    x, y = (Operand(a, "float32", (2, 64), (256, 4)) for a in (0, 1024))
    assert run_packed(dram, StreamCall("s", "map", {"steps": [("add", 0, 0)]}, (x,), y))
    for name, source, goal in (
        ("floor", x, y),
        ("exp", x, replace(x, address=64)),
        ("exp", replace(x, shape=(2, 32), strides=(256, 8)), replace(y, shape=(2, 32))),
        ("neg", replace(x, stored="int32"), y),
    ):
        call = StreamCall("s", "map", {"steps": [(name, 0)]}, (source,), goal)
        assert not run_packed(dram, call)
        run_stream(dram, call)


@pytest.mark.parametrize("stored", ["uint8", "int8", "int16", "float32", "int32"])
def test_operands_are_read_and_written_as_their_tensors_lie(stored: str) -> None:
    """Strided, with scale and zero point; what is written equals QuantizeLinear, and nothing beside it changes."""
    rng = np.random.default_rng(4)
    dram = rng.integers(0, 256, 4096).astype(np.uint8)
    size = np.dtype(stored).itemsize
    zero = 0 if stored == "int16" else 5
    operand = Operand(64, stored, (3, 4, 2), (200, 40, 2 * size), 0.25, zero)
    values = (rng.standard_normal((3, 4, 2)) * 20).astype(np.int32 if stored == "int32" else np.float32)
    before = dram.copy()
    write_operand(dram, operand, values)
    found = read_operand(dram, operand)
    if stored in ("float32", "int32"):
        expected: Array = values
    else:
        quant = Quant.per_tensor(0.25, zero)
        expected = dequantize_array(quantize_array(values, quant, stored), quant)
    np.testing.assert_array_equal(found, expected)
    assert np.count_nonzero(before != dram) <= values.size * size
    grid = np.add.outer(np.add.outer(np.arange(3) * 200, np.arange(4) * 40), np.arange(2) * 2 * size)
    places = set((64 + np.add.outer(grid, np.arange(size))).reshape(-1).tolist())
    assert set(np.flatnonzero(before != dram).tolist()) <= places


def test_demand_by_hand() -> None:
    """Work and bytes of four operations."""
    steps = {"steps": (("add", 0, 1), ("exp", 2))}
    # 6 elements, a sum (1) and an exponential (8) each; 24 + 12 bytes in, 24 out
    assert demand("map", steps, [((2, 3), 4), ((3,), 4)], ((2, 3), 4), 1 << 16) == Demand(54, 36, 24)
    found = demand("contract", {"equation": "ij,jk->ik"}, [((2, 8), 4), ((8, 3), 4)], ((2, 3), 4), 1 << 16)
    assert (found.work, found.read_bytes, found.write_bytes) == (2 * 2 * 8 * 3, 64 + 96, 24)
    # Neither operand fits half of 64 bytes: the larger comes in ceil(96 / 32) = 3 pieces, the smaller for each.
    small = demand("contract", {"equation": "ij,jk->ik"}, [((2, 8), 4), ((8, 3), 4)], ((2, 3), 4), 64)
    assert small.read_bytes == 96 + 3 * 64
    taken = demand("take", {}, [((100, 10), 1)], ((5, 10), 1), 0)
    assert (taken.work, taken.read_bytes, taken.write_bytes) == (50, 50, 50)


def test_cycles_by_hand() -> None:
    """The slower of lanes and DRAM, after an access to a closed row."""
    chip = load_chip("edge")
    c = chip.timing
    first = c.dma_issue_cycles + c.dram_activate_cycles + c.dram_access_cycles + c.vector_latency
    assert stream.clauses["cycles"](c, 10 * c.vector_lanes, 1, 1) == (first + max(10, 2 * c.dram_burst_cycles), 0, 0)
    bursts = 2 * c.dram_burst_cycles * 100
    assert stream.clauses["cycles"](c, 1, 100 * c.dram_burst_bytes, 100 * c.dram_burst_bytes) == (first + bursts, 0, 0)


def compiled(precision: str = "int8") -> Any:
    import onnx
    from onnx import helper, numpy_helper

    rng = np.random.default_rng(6)
    weights = {"w": (16, 3, 3, 3), "v": (8, 16, 3, 3)}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], pads=[1] * 4), helper.make_node("Exp", ["a"], ["b"]),
        helper.make_node("Transpose", ["b"], ["t"], perm=[0, 2, 3, 1]), helper.make_node("Sqrt", ["t"], ["c"]),
        helper.make_node("Transpose", ["c"], ["d"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["d", "v"], ["y"], pads=[1] * 4),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes, "mixed", [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 8, 8, 8])],
        [numpy_helper.from_array((rng.standard_normal(s) * 0.1).astype(np.float32), n) for n, s in weights.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return compile_stages(model, "edge", Options(precision=precision))


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_integer_and_32_bit_layers_meet_in_one_network(precision: str) -> None:
    """Bit for bit the reference, whichever layers are on the array."""
    done = compiled(precision)
    run = run_compiled(done)
    assert run.check.mismatches == 0
    assert run.check.elements >= 512
    on_array = any(layer.macs for layer in done.finished.layers)
    assert on_array == (precision == "int8")


def test_what_uses_a_streams_result_waits_for_it() -> None:
    """Without its tokens the load after a stream would read what is not there yet, and the checker says so."""
    from dataclasses import replace

    from accelc.errors import MachineError
    from accelc.isa import Queue
    from accelc.isa.encoding import decode, encode
    from accelc.sim.hazards import check_hazards

    done = compiled()
    check_hazards(done.finished, done.chip)
    words = decode(done.finished.words)
    last = max(k for k, word in enumerate(words) if word.instruction.name == "stream")
    bare = [w if k <= last else replace(w, wait=dict(w.wait) | {Queue.VECTOR: 0}) for k, w in enumerate(words)]
    with pytest.raises(MachineError, match=r"hazard: .*no token orders them"):
        check_hazards(replace(done.finished, words=encode(bare)), done.chip)


def test_damaged_streams_are_refused() -> None:
    """An unknown operation or function, and an operand outside DRAM."""
    from dataclasses import replace

    program = compiled().finished
    call = program.streams[0]
    wrong = [
        replace(call, op="fly"),
        replace(call, attrs={"steps": [["fly", 0]]}),
        replace(call, output=replace(call.output, address=program.dram_bytes)),
        replace(call, output=replace(call.output, stored="text")),
    ]
    for broken in wrong:
        with pytest.raises(ProgramError, match="stream"):
            check_program(replace(program, streams=(broken, *program.streams[1:])))
