"""A maximum over a joint of channels goes before the joint, where nothing else is lost by it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from accelc.graph import Graph
from accelc.passes.hoist_joints import hoist_joints
from accelc.reference import run
from tests.lower.graphs import Net


def branches(*, axis: int = 1, also_read: str = "", scales: int = 1) -> Graph:
    """Return a 3x3 maximum over two convolutions side by side; `also_read` names what another layer reads too."""
    net = Net(5)
    x = net.input(1, 8, 9, 9)
    parts = [net.conv(x, channels, (1, 1)) for channels in ((12, 20) if axis == 1 else (12, 12))]
    quant = net.tensors[parts[0]].quant
    same = parts if scales == 1 else parts[:1]
    net.tensors |= {name: replace(net.tensors[name], quant=quant) for name in same}
    shape = (1, 32, 9, 9) if axis == 1 else (1, 12, 18, 9)
    joint = net.layer("concat", tuple(parts), shape, quant, axis=axis)
    pooled = net.pool("max_pool", joint, (3, 3), (2, 2), (1, 1, 1, 1))
    net.tensors[pooled] = replace(net.tensors[pooled], quant=quant)
    other = {"part": parts[0], "joint": joint}.get(also_read)
    more = [net.conv(other, 4, (1, 1))] if other else []
    return net.graph(pooled, *more)


def ops(graph: Graph) -> list[str]:
    return [layer.op for layer in graph.layers]


def test_each_part_is_pooled_before_the_joint() -> None:
    """The values stay, and each part's pool reads the convolution that makes the part."""
    graph = branches()
    made = hoist_joints(graph)
    assert ops(made) == ["conv", "conv", "max_pool", "max_pool", "concat"]
    pools = [layer for layer in made.layers if layer.op == "max_pool"]
    assert [made.tensors[layer.outputs[0]].shape for layer in pools] == [(1, 12, 5, 5), (1, 20, 5, 5)]
    given = {graph.inputs[0]: np.random.default_rng(0).integers(0, 256, (1, 8, 9, 9)).astype(np.uint8)}
    (name,) = graph.outputs
    np.testing.assert_array_equal(run(made, given)[name], run(graph, given)[name])


@pytest.mark.parametrize(
    "changed",
    [{"also_read": "joint"}, {"also_read": "part"}, {"axis": 2}, {"scales": 2}],
    ids=["the joint is read elsewhere", "a part is read elsewhere", "rows side by side", "parts of two scales"],
)
def test_a_joint_stays_before_its_pool_where(changed: dict[str, object]) -> None:
    graph = branches(**changed)  # type: ignore[arg-type]
    assert ops(hoist_joints(graph)) == ops(graph)
