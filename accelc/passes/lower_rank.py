"""Write transposes of more than four axes as transposes of at most four between reshapes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod

from accelc.graph import Graph, Layer
from accelc.passes.rewrite import Sweep

_MOST = 4
Step = tuple[tuple[int, ...], tuple[int, ...]]


def lower_rank(graph: Graph) -> Graph:
    """Return the graph in which no transpose has more than four axes."""
    sweep = Sweep(graph)
    for layer in graph.layers:
        if layer.op == "transpose" and len(layer.attrs["perm"]) > _MOST:
            _emit(sweep, layer)
        else:
            sweep.keep(layer)
    return sweep.result()


def _emit(sweep: Sweep, layer: Layer) -> None:
    current = sweep.tensors[layer.inputs[0]]
    perm: tuple[int, ...] = layer.attrs["perm"]
    for number, (shape, order) in enumerate(steps(current.shape, perm)):
        view, moved = (f"{layer.outputs[0]}/{part}{number}" for part in ("view", "step"))
        sweep.tensors[view] = replace(current, name=view, shape=shape)
        sweep.keep(Layer(f"{layer.name}/view{number}", "reshape", (current.name,), (view,), {}, layer.source))
        current = replace(current, name=moved, shape=tuple(shape[axis] for axis in order))
        sweep.tensors[moved] = current
        attrs = {"perm": order}
        sweep.keep(Layer(f"{layer.name}/step{number}", "transpose", (view,), (moved,), attrs, layer.source))
    sweep.keep(Layer(layer.name, "reshape", (current.name,), layer.outputs, {}, layer.source))


def steps(shape: tuple[int, ...], perm: tuple[int, ...]) -> Iterator[Step]:
    """Yield (shape, perm) of transposes of at most four axes which one after another equal the given one."""
    axes, order = merged(shape, perm)
    if len(axes) <= _MOST:
        yield axes, order
        return
    # Bring one run of axes after another to its place, each time by exchanging two neighboring blocks.
    now = list(range(len(axes)))
    for place in range(len(order)):
        found = now.index(order[place])
        if found == place:
            continue
        end = found + 1
        while end < len(now) and place + end - found < len(order) and now[end] == order[place + end - found]:
            end += 1
        blocks = now[:place], now[place:found], now[found:end], now[end:]
        yield tuple(prod(axes[a] for a in block) for block in blocks), (0, 2, 1, 3)
        now = [*blocks[0], *blocks[2], *blocks[1], *blocks[3]]


def merged(shape: tuple[int, ...], perm: tuple[int, ...]) -> Step:
    """Return the transpose of the fewest axes that moves elements the same way."""
    runs: list[list[int]] = []
    for axis in (a for a in perm if shape[a] != 1):
        between = range(runs[-1][-1] + 1, axis) if runs else ()
        if runs and runs[-1][-1] < axis and all(shape[a] == 1 for a in between):
            runs[-1].append(axis)
        else:
            runs.append([axis])
    source = sorted(runs)
    return tuple(prod(shape[a] for a in run) for run in source), tuple(source.index(run) for run in runs)
