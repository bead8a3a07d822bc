"""What of the comparison with SCALE-Sim needs no SCALE-Sim: its files, and our layers as one instruction each."""

from __future__ import annotations

import configparser

import pytest

from accelc.chip import load_chip
from accelc.compiler import Options, compile_stages
from accelc.schedule import Schedule
from benchmarks.scalesim import (
    HEAD,
    Layer,
    Row,
    array_cycles,
    config_text,
    csv_text,
    differences,
    one_instruction_each,
    padded,
    topology,
)


def planned(network: str) -> Schedule:
    options = Options(tiny=True, dataflow="ws", residency=False)
    plan = compile_stages(network, "scalesim_32", options, stop_after="schedule").schedule
    assert plan is not None
    return plan


def counted(row: Row) -> int:
    """SCALE-Sim's own closed form on 32 x 32, weight-stationary, the index of the last cycle."""
    height, width = ((n - k) // row.stride + 1 for n, k in ((row.height, row.kernel_y), (row.width, row.kernel_x)))
    folds = -(-row.kernel_y * row.kernel_x * row.channels // 32) * -(-row.filters // 32)
    return folds * (height * width + 2 * 32 + 32 - 2) - 1


def test_the_topology_has_inputs_with_their_padding_as_far_as_windows_reach() -> None:
    first, *_, last = rows = topology(planned("resnet50"))
    assert len(rows) == 30
    assert first == Row("conv1", 69, 69, 7, 7, 3, 4, 2)
    assert last == Row("fc", 1, 1, 1, 1, 128, 10, 1)
    head, line, *_ = csv_text(rows).splitlines()
    assert head == HEAD
    assert line == "conv1, 69, 69, 7, 7, 3, 4, 2,"


def test_a_layer_that_a_topology_cannot_say_is_named() -> None:
    with pytest.raises(ValueError, match="groups, dilation or unequal strides"):
        topology(planned("alexnet_grouped"))


def test_the_configuration_has_the_array_and_buffers_of_the_chip() -> None:
    made = configparser.ConfigParser()
    made.read_string(config_text(load_chip("scalesim_32"), "os"))
    found = made["architecture_presets"]
    assert (found["ArrayHeight"], found["ArrayWidth"], found["Dataflow"]) == ("32", "32", "os")
    assert found["IfmapSramSzkB"] == "4096"
    assert made["layout"]["FilterCustomLayout"] == "False"


def test_each_layer_as_one_instruction_takes_the_closed_form_of_its_row() -> None:
    compiled, program = one_instruction_each("resnet50", load_chip("scalesim_32"), "ws", tiny=True)
    assert compiled.schedule is not None
    found = list(array_cycles(program).values())
    rows = topology(compiled.schedule)
    assert [count for _, count in found] == [1] * len(rows)
    assert [cycles for cycles, _ in found] == [counted(padded(row)) for row in rows]


def test_a_difference_is_told_with_its_cause() -> None:
    row = Row("conv1", 69, 69, 7, 7, 3, 4, 2)
    layer = Layer(row, counted(row), counted(padded(row)), 0, 1, 0.0)
    text = differences([layer], counted(padded(row)))
    assert text.startswith("As one instruction, 0 of 1 layers")
    assert "196 rows and not 147" in text
    assert text.endswith("SCALE-Sim counts the same.")
