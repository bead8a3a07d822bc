"""Every layer kind, lowered for chips large and small and executed, gives the reference's bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from accelc import reference
from accelc.arithmetic import dequantize_array
from accelc.chip import Chip, load_chip
from accelc.errors import ScheduleError
from accelc.graph import RANGE, Graph, Quant, verify_quantized
from accelc.lower import lower
from accelc.schedule import schedule
from accelc.sim.machine import Machine
from accelc.sim.timing import time_program
from tests.lower.graphs import Net

Build = Callable[[Net], str]
CASES: dict[str, Build] = {}


def case(build: Build) -> Build:
    CASES[build.__name__] = build
    return build


def small_chip(mode: str = "float32") -> Chip:
    """The edge chip with buffers so small that every layer is cut along every axis."""
    values = load_chip("edge").model_dump()
    values["requantization"] = mode
    for name, size, banks in (("act", 16384, 4), ("wgt", 16384, 4), ("acc", 8192, 2)):
        values["buffers"][name] |= {"bytes": size, "banks": banks}
    return Chip.model_validate(values)


CHIPS = {"edge": load_chip("edge"), "gemmini": load_chip("gemmini"), "small": small_chip()}


@case
def conv_asymmetric(net: Net) -> str:
    return net.conv(net.input(1, 3, 40, 37), 20, (3, 5), (2, 1), (1, 2, 0, 1))


@case
def conv_dilated_batch(net: Net) -> str:
    return net.conv(net.input(2, 70, 9, 9), 100, (3, 3), (1, 1), (1, 1, 1, 1), (2, 2), activation=("relu",))


@case
def conv_deep(net: Net) -> str:
    return net.conv(net.input(1, 600, 9, 9), 300, pads=(1, 1, 1, 1))


@case
def conv_one_dimension(net: Net) -> str:
    return net.conv(net.input(1, 16, 50), 32, (1, 5), (1, 2), (0, 2, 0, 2))


@case
def conv_clipped(net: Net) -> str:
    return net.conv(net.input(1, 8, 9, 9), 24, activation=("clip", -0.5, 0.7))


@case
def conv_pad_beyond_map(net: Net) -> str:
    return net.conv(net.input(1, 3, 14, 14), 7, pads=(20, 20, 20, 20))


@case
def conv_larger_than_map(net: Net) -> str:
    return net.conv(net.input(2, 5, 1, 1), 7, pads=(1, 1, 1, 1))


@case
def conv_uint8_weights(net: Net) -> str:
    return net.conv(net.input(1, 16, 9, 9), 24, weights="uint8")


@case
def conv_whole_map(net: Net) -> str:
    return net.conv(net.conv(net.input(1, 16, 9, 9), 24, (9, 9)), 30, (1, 1))


@case
def depthwise(net: Net) -> str:
    return net.conv(net.input(1, 40, 13, 13), 40, pads=(1, 1, 1, 1), group=40)


@case
def depthwise_multiplier(net: Net) -> str:
    return net.conv(net.input(1, 24, 13, 13), 48, pads=(1, 1, 1, 1), group=24)


@case
def grouped_many(net: Net) -> str:
    return net.conv(net.input(1, 64, 13, 13), 128, pads=(1, 1, 1, 1), group=16)


@case
def grouped_two(net: Net) -> str:
    return net.conv(net.input(1, 48, 13, 13), 128, pads=(1, 1, 1, 1), group=2)


@case
def grouped_odd(net: Net) -> str:
    return net.conv(net.input(1, 20, 7, 7), 30, pads=(1, 1, 1, 1), group=10)


@case
def fc_batch(net: Net) -> str:
    return net.fc(net.fc(net.input(3, 300), 70), 10)


@case
def fc_after_flatten(net: Net) -> str:
    x = net.input(2, 30, 6, 5)
    return net.fc(net.layer("reshape", (x,), (2, 900), net.tensors[x].quant), 50, ("relu",))


@case
def conv_then_max_pool(net: Net) -> str:
    return net.pool("max_pool", net.conv(net.input(1, 16, 20, 20), 32, pads=(1, 1, 1, 1)), (3, 3), (2, 2), (1, 1, 1, 1))


@case
def max_pool_dilated(net: Net) -> str:
    return net.pool("max_pool", net.input(1, 16, 20, 20), (2, 3), (2, 1), (0, 1, 1, 1), dilations=(2, 2))


@case
def avg_pool_counting_padding(net: Net) -> str:
    return net.pool("avg_pool", net.input(1, 16, 21, 20), (3, 3), (2, 2), (1, 1, 1, 1), 1)


@case
def avg_pool_ceil(net: Net) -> str:
    return net.pool("avg_pool", net.input(1, 16, 21, 20), (3, 2), (2, 2), (1, 0, 1, 1), 0, ceil=True)


@case
def avg_pool_ceil_counting_padding(net: Net) -> str:
    return net.pool("avg_pool", net.input(1, 16, 20, 20), (3, 3), (2, 2), (1, 1, 1, 1), 1, ceil=True)


@case
def residual(net: Net) -> str:
    x = net.input(1, 32, 14, 14)
    y = net.conv(x, 64, (1, 1))
    return net.layer("add", (y, net.conv(x, 64, pads=(1, 1, 1, 1))), net.shape(y), activation=("relu",))


@case
def global_average_then_fc(net: Net) -> str:
    y = net.conv(net.input(2, 32, 7, 7), 64, (1, 1))
    pooled = net.layer("global_avg_pool", (y,), (2, 64, 1, 1))
    return net.fc(net.layer("reshape", (pooled,), (2, 64), net.tensors[pooled].quant), 20)


@case
def chain_to_global_max(net: Net) -> str:
    y = net.conv(net.input(1, 8, 30, 30), 16, pads=(1, 1, 1, 1))
    pooled = net.pool("max_pool", y, (2, 2), (2, 2))
    added = net.layer("add", (net.conv(pooled, 16, pads=(1, 1, 1, 1)), pooled), net.shape(pooled))
    leaky = net.layer("leaky_relu", (added,), net.shape(added), alpha=0.1)
    return net.layer("global_max_pool", (leaky,), (1, 16, 1, 1), net.tensors[leaky].quant)


@case
def concat_in_place_and_requantized(net: Net) -> str:
    x, shared = net.input(1, 16, 9, 9), net.quant()
    parts = [net.conv(x, 24, (1, 1)), net.conv(x, 17, pads=(1, 1, 1, 1)), net.conv(x, 8, (1, 1))]
    for name in parts[:2]:
        net.tensors[name] = replace(net.tensors[name], quant=shared)
    return net.conv(net.layer("concat", tuple(parts), (1, 49, 9, 9), shared, axis=1), 32, pads=(1, 1, 1, 1))


@case
def concat_rows(net: Net) -> str:
    x, shared = net.input(1, 16, 9, 9), net.quant()
    parts = [net.conv(x, 24, (1, 1)), net.conv(x, 24, (3, 1))]
    for name in parts:
        net.tensors[name] = replace(net.tensors[name], quant=shared)
    return net.conv(net.layer("concat", tuple(parts), (1, 24, 16, 9), shared, axis=2), 8)


@case
def prelu_by_channel(net: Net) -> str:
    y = net.conv(net.input(1, 19, 8, 8), 45, (1, 1))
    slope = net.constant(net.rng.uniform(0.1, 0.5, (45, 1, 1)).astype(np.float32), "float32", None)
    return net.layer("prelu", (y, slope), net.shape(y))


@case
def affine(net: Net) -> str:
    x = net.input(1, 21, 8, 8)
    constants = [net.constant(net.rng.uniform(-1, 1, 21).astype(np.float32), "float32", None) for _ in range(2)]
    return net.layer("affine", (x, *constants), net.shape(x))


@case
def softmax(net: Net) -> str:
    zero = 0 if net.dtype == "uint8" else -128
    return net.layer("softmax", (net.input(3, 100),), (3, 100), Quant.per_tensor(1 / 256, zero), axis=1)


@case
def lrn(net: Net) -> str:
    x = net.input(1, 96, 13, 13)
    return net.layer("lrn", (x,), net.shape(x), size=5, alpha=1e-4, beta=0.75, bias=2.0)


@case
def transpose(net: Net) -> str:
    x = net.input(1, 24, 6, 10)
    return net.layer("transpose", (x,), (1, 6, 10, 24), net.tensors[x].quant, perm=(0, 2, 3, 1))


@case
def reshape_flat(net: Net) -> str:
    x = net.input(1, 24, 6, 10)
    return net.layer("reshape", (x,), (1, 1440), net.tensors[x].quant)


@case
def reshape_regrouping_nothing(net: Net) -> str:
    x = net.input(1, 24, 6, 10)
    return net.layer("reshape", (x,), (1, 30, 6, 8), net.tensors[x].quant)


@case
def slice_channels(net: Net) -> str:
    x = net.input(1, 24, 6, 10)
    part = net.layer("slice", (x,), (1, 8, 6, 10), net.tensors[x].quant, starts=(0, 5, 0, 0), steps=(1, 1, 1, 1))
    return net.conv(part, 16, (1, 1))


@case
def shortcut_without_parameters(net: Net) -> str:
    x = net.input(1, 24, 6, 10)
    quant = net.tensors[x].quant
    strided = net.layer("slice", (x,), (1, 24, 3, 5), quant, starts=(0, 0, 0, 0), steps=(1, 1, 2, 2))
    padded = net.layer("pad", (strided,), (1, 48, 3, 5), quant, begin=(0, 12, 0, 0), value=0.0)
    y = net.conv(x, 48, (3, 3), (2, 2), (1, 1, 1, 1))
    return net.layer("add", (y, padded), net.shape(y))


def _function(op: str, **attrs: float) -> Build:
    def build(net: Net) -> str:
        y = net.conv(net.input(1, 19, 8, 8), 32, (1, 1))
        return net.layer(op, (y,), net.shape(y), **attrs)

    return build


def _binary(op: str, kind: str) -> Build:
    def build(net: Net) -> str:
        x = net.input(2 if kind != "scalar" else 1, 40, 6, 6)
        others: dict[str, Callable[[], tuple[str, str]]] = {
            "second broadcast": lambda: (x, net.input(2, 40, 1, 1)),
            "first broadcast": lambda: (net.input(2, 40, 1, 1), x),
            "constant": lambda: (x, _constant(net, (1, 40, 1, 1))),
            "scalar": lambda: (x, _constant(net, ())),
            "itself": lambda: (x, x),
        }
        return net.layer(op, others[kind](), net.shape(x))

    return build


def _constant(net: Net, shape: tuple[int, ...]) -> str:
    return net.constant(np.asarray(net.rng.integers(0, 100, shape)).astype(net.dtype), net.dtype, net.quant())


CASES |= {
    op: _function(op, **attrs)
    for op, attrs in {
        "relu": {},
        "leaky_relu": {"alpha": 0.1},
        "sigmoid": {},
        "tanh": {},
        "requantize": {},
        "hard_sigmoid": {"alpha": 0.2, "beta": 0.5},
        "clip": {"min": -1.0, "max": 1.0},
    }.items()
}
CASES |= {
    f"{op} {kind}": _binary(op, kind)
    for op in ("add", "sub", "mul")
    for kind in ("second broadcast", "first broadcast", "constant", "scalar", "itself")
}


def random_inputs(graph: Graph) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    found = {}
    for name in graph.inputs:
        tensor = graph.tensors[name]
        low, high = RANGE[tensor.dtype]
        found[name] = rng.integers(low, high + 1, tensor.shape).astype(tensor.dtype)
    return found


def differing(graph: Graph, chip: Chip) -> int:
    """Compile, execute, time; return how many output integers differ from the reference."""
    integers = random_inputs(graph)
    floats = {name: dequantize_array(data, graph.tensors[name].quant) for name, data in integers.items()}
    program = lower(schedule(graph, chip), chip)
    values = Machine(program, chip).run(floats)
    assert time_program(program, chip).cycles >= program.notes["lower_bound_cycles"]
    wanted = reference.run(graph, integers, requantize=chip.requantization)
    return sum(int((values.integers[name] != wanted[name]).sum()) for name in graph.outputs)


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("name", CASES)
def test_lowered_layers_equal_the_reference(name: str, chip: str, dtype: str) -> None:
    net = Net(len(name), dtype)
    graph = verify_quantized(net.graph(CASES[name](net)))
    assert differing(graph, CHIPS[chip]) == 0


@pytest.mark.parametrize("name", ["conv_asymmetric", "depthwise", "grouped_two", "fc_batch", "residual"])
def test_fixed_requantization_equals_the_reference(name: str) -> None:
    net = Net(7)
    graph = verify_quantized(net.graph(CASES[name](net)))
    assert differing(graph, small_chip("fixed")) == 0


@pytest.mark.parametrize("seed", range(40))
def test_random_convolutions_equal_the_reference(seed: int) -> None:
    """Random shape, stride, padding, dilation and groups on the chip that cuts everything."""
    rng = np.random.default_rng(seed)
    net = Net(seed, ("uint8", "int8")[seed % 2])
    group = int(rng.choice([1, 1, 2, 4]))
    c, k = group * int(rng.integers(1, 40)), group * int(rng.integers(1, 40))
    kernel = tuple(int(v) for v in rng.integers(1, 5, 2))
    pads = tuple(int(v) for v in rng.integers(0, 3, 4))
    x = net.input(int(rng.integers(1, 3)), c, *(int(v) for v in rng.integers(9, 30, 2)))
    strides, dilations = (tuple(int(v) for v in rng.integers(1, 3, 2)) for _ in range(2))
    y = net.conv(x, k, kernel, strides, pads, dilations, group)
    assert differing(net.graph(y), CHIPS["small"]) == 0


def test_a_layer_that_fits_no_tile_is_refused_with_the_bytes() -> None:
    values = small_chip().model_dump()
    values["buffers"]["act"] |= {"bytes": 256, "banks": 1}
    net = Net(0)
    graph = net.graph(net.conv(net.input(1, 600, 9, 9), 8, (7, 7)))
    with pytest.raises(
        ScheduleError, match=r"'conv0' .*no tile fits chip 'edge': one output pixel needs \d+ bytes of act"
    ):
        schedule(graph, Chip.model_validate(values))
