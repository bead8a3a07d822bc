"""Every layer kind of 16-bit operands, lowered for chips large and small and executed, gives the reference's bits."""

from __future__ import annotations

import numpy as np
import pytest

from accelc import reference
from accelc.chip import Chip, load_chip
from accelc.errors import ScheduleError
from accelc.graph import Quant, verify_quantized
from accelc.schedule import schedule
from tests.lower.graphs import Net
from tests.lower.test_lower import CASES, Build, differing, random_inputs, small_chip


def widened(chip: Chip) -> Chip:
    """Return a chip with 16-bit operands and buffers of twice the bytes."""
    values = chip.model_dump()
    for name in ("act", "wgt", "acc"):
        values["buffers"][name]["bytes"] *= 2
    values["name"] = f"{chip.name}16"
    values["array"] |= {"operand_bits": 16, "accumulator_bits": 64}
    return Chip.model_validate(values)


CHIPS = {"large": widened(load_chip("edge")), "small": widened(small_chip()), "rows": load_chip("eyeriss")}


def softmax(net: Net) -> str:
    return net.layer("softmax", (net.input(3, 100),), (3, 100), Quant.per_tensor(2.0**-15, 0), axis=1)


WIDE_CASES: dict[str, Build] = {**CASES, "softmax": softmax}
del WIDE_CASES["conv_uint8_weights"]


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("name", WIDE_CASES)
def test_lowered_layers_equal_the_reference(name: str, chip: str) -> None:
    """The same layers as in 8 bits: convolutions of every kind, pools, sums, functions, concats, moves."""
    net = Net(len(name), "int16")
    graph = verify_quantized(net.graph(WIDE_CASES[name](net)))
    assert differing(graph, CHIPS[chip]) == 0


@pytest.mark.parametrize("seed", range(20))
def test_random_convolutions_equal_the_reference(seed: int) -> None:
    """Random shape, stride, padding, dilation and groups on the chip that cuts everything."""
    rng = np.random.default_rng(seed)
    net = Net(seed, "int16")
    group = int(rng.choice([1, 1, 2, 4]))
    c, k = group * int(rng.integers(1, 20)), group * int(rng.integers(1, 20))
    kernel = tuple(int(v) for v in rng.integers(1, 5, 2))
    pads = tuple(int(v) for v in rng.integers(0, 3, 4))
    x = net.input(int(rng.integers(1, 3)), c, *(int(v) for v in rng.integers(9, 20, 2)))
    strides, dilations = (tuple(int(v) for v in rng.integers(1, 3, 2)) for _ in range(2))
    y = net.conv(x, k, kernel, strides, pads, dilations, group)
    assert differing(net.graph(y), CHIPS["small"]) == 0


def test_results_are_not_all_clamped() -> None:
    """The cases above would prove little if every result were a limit of its type."""
    net = Net(1, "int16")
    graph = net.graph(CASES["conv_dilated_batch"](net))
    values = reference.run(graph, random_inputs(graph))[graph.outputs[0]]
    assert np.mean(np.isin(values, (-32768, 0, 32767))) < 0.7


@pytest.mark.parametrize(("dtype", "bits"), [("uint8", 16), ("int16", 8)])
def test_operands_of_another_width_are_refused(dtype: str, bits: int) -> None:
    """The message names the network's types, the chip and its operands."""
    net = Net(0, dtype)
    graph = net.graph(net.conv(net.input(1, 8, 9, 9), 8))
    chip = load_chip("edge") if bits == 8 else CHIPS["large"]
    with pytest.raises(ScheduleError, match=f"is .*int.*, but chip '{chip.name}' multiplies {bits}-bit operands"):
        schedule(graph, chip)


def test_fixed_requantization_has_no_wide_rule() -> None:
    """A chip of 16-bit operands must requantize in floating point."""
    chip = widened(small_chip("fixed"))
    net = Net(0, "int16")
    with pytest.raises(ScheduleError, match="'fixed' has no 16-bit rule"):
        schedule(net.graph(net.conv(net.input(1, 8, 9, 9), 8)), chip)
