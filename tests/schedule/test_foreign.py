"""Mappings written for ZigZag and Timeloop: read as the tile, order and dataflow they mean, or refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from accelc.chip import load_chip
from accelc.errors import MappingError
from accelc.graph import Graph
from accelc.schedule import schedule
from accelc.schedule.foreign import Foreign, read_by_hand
from accelc.schedule.mapping import Mapping, Pin
from tests.lower.graphs import Net

EDGE, GEMMINI, EYERISS = load_chip("edge"), load_chip("gemmini"), load_chip("eyeriss")


def network(pool: bool = False, dtype: str = "uint8") -> Graph:
    """Return conv0: 64 channels of 28 x 28 to 128, a 3 x 3 kernel, maybe pooled."""
    net = Net(0, dtype)
    y = net.conv(net.input(1, 64, 28, 28), 128, pads=(1, 1, 1, 1))
    return net.graph(net.pool("max_pool", y, (2, 2), (2, 2)) if pool else y)


def product(batch: int) -> Graph:
    """Return fc0: batch x 256 times 256 x 512."""
    net = Net(0)
    return net.graph(net.fc(net.input(batch, 256), 512))


def zigzag(*loops: tuple[str, int | str], **more: Any) -> Foreign:
    entry = {
        "name": "default",
        "spatial_mapping": {"D1": ["K, 32"], "D2": ["C, 32"]},
        "temporal_ordering": [list(loop) for loop in loops],
    }
    return Foreign("z.yaml", [{**entry, **more}])


def timeloop(dram: str, order: str, buffer: str = "P28 Q7 R3 S3 C2", inner: str = "PQRSCM", **more: Any) -> Foreign:
    levels = [
        {"target": "DRAM", "type": "temporal", "factors": dram, "permutation": order},
        {"target": "Buffer", "type": "temporal", "factors": buffer, "permutation": inner},
        {"target": "PE", "type": "spatial", "factors": "C32 M32", "permutation": "CM"},
        *more.get("extra", ()),
    ]
    return Foreign("t.yaml", {"mapping": levels})


CONV = (("OX", 28), ("OY", 28), ("FX", 3), ("FY", 3), ("C", 2), ("K", 4))


def pin(found: Foreign, graph: Graph, chip: Any = EDGE) -> Pin:
    mapping = found.by_hand(graph, chip)
    assert schedule(graph, chip, mapping=mapping).plans  # and the schedule can follow it
    (one,) = mapping.layers.values()
    return one


# --- Timeloop


@pytest.mark.parametrize(
    ("dram", "order", "expected"),
    [
        ("M4 Q4", "QMPCRS", Pin(order="weights", rows=7)),
        ("M4 Q4", "MQPCRS", Pin(order="map", rows=7)),
        ("M=4, Q=4", "QMPCRS", Pin(order="weights", rows=7)),
    ],
)
def test_the_outermost_level_gives_the_order_and_the_rest_the_tile(dram: str, order: str, expected: Pin) -> None:
    found = pin(timeloop(dram, order), network())
    assert found == expected.over(Pin(dataflow="ws", cols=28, channels=32, depth=64, kernel_rows=3))


def test_levels_may_be_listed_from_the_inside_and_factors_as_a_list() -> None:
    foreign = timeloop("M4 Q4", "MQPCRS")
    levels = list(reversed(foreign.content["mapping"]))
    levels[-1] = {**levels[-1], "factors": ["M=4", "Q=0", "C=1"], "permutation": ["M", "Q", "C"]}
    assert pin(Foreign("t", {"mapping": levels}), network()) == pin(foreign, network())


def test_p_and_r_run_along_the_width() -> None:
    found = pin(timeloop("M4 P4", "PMQCRS", buffer="P7 Q28 R3 S3 C2"), network())
    assert (found.rows, found.cols) == (28, 7)


def test_the_innermost_loop_gives_the_dataflow() -> None:
    foreign = timeloop("M8 Q4", "MQPCRS", buffer="P28 Q7 R3 S3 C4", inner="CRSPQM")
    foreign.content["mapping"][2]["factors"] = "P16 M16"
    foreign.content["mapping"][1]["factors"] = "P2 Q7 R3 S3 C64"
    assert pin(foreign, network(), GEMMINI).dataflow == "os"
    with pytest.raises(MappingError, match=r"innermost loop, C 64, makes it dataflow os; chip 'edge' offers ws"):
        foreign.by_hand(network(), EDGE)


def test_an_array_that_has_its_own_way_takes_any_innermost_loop() -> None:
    foreign = timeloop("M8 Q28 C4", "CQMPRS", buffer="P28 R3 S3", inner="PRSCMQ")
    foreign.content["mapping"][2]["factors"] = "C16 M16"
    assert pin(foreign, network(dtype="int16"), EYERISS) == Pin(
        rows=1, cols=28, channels=16, depth=16, kernel_rows=3, order="weights"
    )


@pytest.mark.parametrize(
    ("foreign", "message"),
    [
        (
            timeloop("M4 C2", "MCPQRS", buffer="P28 Q28 R3 S3"),
            "its loops over tiles, outermost first, are C 2 > M 4; the orders there are: M > C",
        ),
        (
            timeloop("M4 Q4 R3", "RQMPCS", buffer="P28 Q7 S3 C2"),
            "orders there are: none that cuts the kernel's columns",
        ),
        (timeloop("M4 Q2", "QMPCRS"), "over its 28 output rows it has Q 7 x Q 2; loops that make 28 would work"),
        (timeloop("M4 Q4", "M"), "'DRAM': the permutation does not say where Q stands"),
        (timeloop("M4 Q4,3", "QM"), "'DRAM': factor 'Q4,3' is not a dimension"),
        (
            timeloop("M4 Q4", "QM", extra=[{"target": "Buffer", "type": "datatype", "bypass": ["Weights"]}]),
            "Weights pass by 'Buffer', which loops over P 28, Q 7, R 3, S 3, C 2; here the extents",
        ),
        (Foreign("t.yaml", {"mapping": [{"target": "L2", "type": "temporal"}]}), "no outermost level in L2"),
        (Foreign("t.yaml", {"mapping": 3}), "'mapping:' is not a list of directives"),
        (Foreign("t.yaml", 3), "neither a list of ZigZag's mappings nor Timeloop's 'mapping:'"),
    ],
)
def test_what_a_timeloop_mapping_says_and_we_cannot_is_refused(foreign: Foreign, message: str) -> None:
    with pytest.raises(MappingError) as raised:
        foreign.by_hand(network(), EDGE)
    assert str(raised.value).startswith("t.yaml: layer 'conv0': ")
    assert message in str(raised.value)


# --- ZigZag


def test_the_loops_that_fit_are_on_chip() -> None:
    """28 x 28 sums of 128 channels take 401,408 bytes of acc, of 32 take 100,352 of its 131,072: K goes outside."""
    assert pin(zigzag(*CONV), network()) == Pin(
        dataflow="ws", rows=28, cols=28, channels=32, depth=64, kernel_rows=3, order=None
    )


def test_a_star_takes_what_is_left() -> None:
    loops = (*CONV[:4], ("C", "*"), ("K", "*"))
    assert pin(zigzag(*loops), network()) == pin(zigzag(*CONV), network())


def test_an_unrolling_larger_than_the_layer_is_cut_to_it() -> None:
    net = Net(0)
    graph = net.graph(net.conv(net.input(1, 3, 28, 28), 32, pads=(1, 1, 1, 1)))
    assert pin(zigzag(*CONV[:4]), graph).depth == 3


def test_the_batch_of_a_product_is_rows() -> None:
    found = pin(zigzag(("B", 8), ("C", 8), ("K", 16)), product(8))
    assert (found.rows, found.channels, found.depth) == (8, 512, 256)


def test_under_a_pooling_the_convolution_runs_alone() -> None:
    assert pin(zigzag(*CONV), network(pool=True)) == Pin(cut=True).over(pin(zigzag(*CONV), network()))


def test_the_entry_of_the_layer_goes_before_that_of_its_operator() -> None:
    (entry,) = zigzag(*CONV).content
    wrong = {**entry, "temporal_ordering": []}
    assert pin(Foreign("z", [wrong, {**entry, "name": "Conv"}]), network()).rows == 28
    assert pin(Foreign("z", [{**wrong, "name": "Conv"}, {**entry, "name": "conv0"}]), network()).rows == 28


@pytest.mark.parametrize(
    ("foreign", "message"),
    [
        (zigzag(), "it has no temporal_ordering"),
        (zigzag(("OX", 28), ("Z", 2)), "['Z', 2]: dimension 'Z' is none of B, K, G, C, OY, OX, FY, FX"),
        (zigzag(("*", "*")), "['*', '*']: dimension '*' is none of"),
        (zigzag(("OX", "x")), "['OX', 'x']: size 'x' is neither a whole number nor '*'"),
        (zigzag(*CONV[:-1]), "over its 128 output channels it has K 32; loops that make 128 would work"),
        (
            zigzag(("OX", 28), ("K", 4), ("C", 2), ("OY", 28), ("FX", 3), ("FY", 3)),
            "are FY 3 > FX 3 > OY 28; the orders there are: none that cuts the kernel's columns",
        ),
        (
            zigzag(*CONV, spatial_mapping={"D1": [["OX", 4]], "D2": [["K", 32]]}, temporal_ordering=[
                ["OX", 7], ["OY", 28], ["FX", 3], ["FY", 3], ["C", 64], ["K", 4]
            ]),
            "it unrolls OX 4 over the array, which unrolls input channels, kernel rows, kernel columns by output chan",
        ),
        (
            zigzag(*CONV[:-1], ("K", 2), spatial_mapping={"D1": "K, 64", "D2": ["C", 32]}),
            "it unrolls K 64 over the array's 32 columns",
        ),
    ],
)  # fmt: skip
def test_what_a_zigzag_mapping_says_and_we_cannot_is_refused(foreign: Foreign, message: str) -> None:
    with pytest.raises(MappingError) as raised:
        foreign.by_hand(network(), EDGE)
    assert message in str(raised.value)


# --- which file, which layer


def test_the_layer_is_named_or_the_only_one() -> None:
    net = Net(0)
    y = net.conv(net.input(1, 64, 28, 28), 64, pads=(1, 1, 1, 1))
    graph = net.graph(net.conv(y, 128, pads=(1, 1, 1, 1)))
    content = zigzag(*CONV).content
    assert list(Foreign("z", content, "conv1").by_hand(graph, EDGE).layers) == ["conv1"]
    with pytest.raises(MappingError, match=r"z: the network has 2 layers it may be for; LAYER=z would work"):
        Foreign("z", content).by_hand(graph, EDGE)
    with pytest.raises(MappingError, match=r"layer 'conv9' is no convolution or matrix product; did you mean"):
        Foreign("z", content, "conv9").by_hand(graph, EDGE)
    grouped = Net(0)
    with pytest.raises(MappingError, match="the groups of a grouped convolution are packed"):
        Foreign("z", content).by_hand(grouped.graph(grouped.conv(grouped.input(1, 64, 9, 9), 128, group=2)), EDGE)


def test_a_file_is_read_by_its_ending(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text("- name: default\n  temporal_ordering: [[K, 2]]\n")
    (tmp_path / "m.toml").write_text("[layers.a]\nrows = 2\n")
    found = read_by_hand(f"a/conv={tmp_path}/m.yaml")
    assert found == Foreign(f"{tmp_path}/m.yaml", [{"name": "default", "temporal_ordering": [["K", 2]]}], "a/conv")
    assert read_by_hand(tmp_path / "m.toml") == Mapping({"a": Pin(rows=2)}, origin=f"{tmp_path}/m.toml")
    (tmp_path / "m.yaml").write_text("[")
    with pytest.raises(MappingError, match=r"m\.yaml: not YAML: "):
        read_by_hand(tmp_path / "m.yaml")
    with pytest.raises(MappingError, match=r"LAYER= goes before another tool's \.yaml file"):
        read_by_hand(f"conv={tmp_path}/m.toml")
    with pytest.raises(MappingError, match=r"none\.yaml: cannot be read"):
        read_by_hand("none.yaml")
