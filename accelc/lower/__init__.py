"""From a Schedule to a Program: instructions with their tokens, packed constants, memory map and source map."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from accelc.chip import Chip
from accelc.graph import JOIN_OPS, Graph, Layer, macs
from accelc.isa import Queue, Word, by_name, encode
from accelc.lower.copies import lower_copy
from accelc.lower.emitter import ALIGN, Emitter
from accelc.lower.pair import lower_pair
from accelc.lower.places import ON_CHIP, Places
from accelc.lower.stream import lower_stream, moved_stream
from accelc.lower.tile import TileStage
from accelc.lower.tokens import ACTIVATIONS
from accelc.program import HostCall, LayerInfo, Port, Program, Region, StreamCall
from accelc.schedule import Schedule, StagePlan
from accelc.schedule.bounds import layer_bound, network_bound
from accelc.schedule.views import round_up

HOST_FLOPS_PER_ELEMENT = 16  # a stated price: operations a host operator takes for each element it reads or writes


def lower(plan: Schedule, chip: Chip) -> Program:
    """Return the program that carries out a schedule."""
    emitter = Emitter(chip)
    places = Places(plan, emitter)
    hosts: list[HostCall] = []
    calls: list[StreamCall] = []
    written: dict[str, int] = {}
    for index, entry in enumerate(plan.plans):
        if index - 1 in plan.pairs:
            continue  # lowered with the stage before it
        together = plan.plans[index : index + 1 + (index in plan.pairs)]
        ends = range(index, index + len(together))
        emitter.floor = min(plan.residency.floors[k] for k in ends)
        emitter.wgt_floor = min(plan.pins.floors.get(k, chip.timing.wgt_bytes) for k in ends)
        places.pin(plan.pins.places.get(index))
        places.part = entry.part
        if len(together) > 1:
            lower_pair(places, *together)
        else:
            _lower_stage(places, entry, hosts, calls)
        for each in together:
            whole = [name for name in each.stage.layers[-1].outputs if not places.in_bands(name)]
            written |= dict.fromkeys(whole, len(emitter.words))
    places.part = None
    for layer in plan.graph.layers:
        joined = layer.outputs[0]
        if layer.op in JOIN_OPS and joined not in written and not places.in_bands(joined):  # its inputs lie inside it
            written[joined] = max(written[name] for name in layer.inputs)
    emitter.layer = -1
    emitter.barrier("halt")
    return _program(plan, places, hosts, calls, written)


def _lower_stage(places: Places, entry: StagePlan, hosts: list[HostCall], calls: list[StreamCall]) -> None:
    if entry.stage.kind == "tile":
        TileStage(places, entry).lower()
    elif entry.stage.kind == "copy":
        lower_copy(places, entry.stage)
    elif entry.stage.kind == "stream":
        lower_stream(places, entry.stage.steps[0], calls)
    else:
        layer = entry.stage.steps[0]
        places.emitter.layer = places.layer_index[layer.name]
        places.emitter.barrier("host", index=len(hosts))
        hosts.append(_host_call(places, layer))


def _program(
    plan: Schedule, places: Places, hosts: list[HostCall], calls: list[StreamCall], written: Mapping[str, int]
) -> Program:
    emitter, graph = places.emitter, plan.graph
    base = round_up(emitter.constants.bytes, ALIGN) - ACTIVATIONS
    order = list({layer.name: layer for entry in plan.plans for layer in entry.stage.layers}.values())
    streams = _stream_cycles(plan, emitter)
    bound = network_bound(graph, plan.views, plan.chip, order, streams)
    ports = {name: _moved(port_of(places, name), base) for name in (*graph.inputs, *written)}
    return Program(
        name=graph.name,
        chip=plan.chip.name,
        fingerprint=plan.chip.fingerprint,
        words=encode(_relocate(emitter.words, base)),
        constants=emitter.constants.array(),
        dram_bytes=base + ACTIVATIONS + round_up(plan.placement.bytes, ALIGN) + ALIGN,
        inputs=tuple(_external(ports[name], graph) for name in graph.inputs),
        outputs=tuple(_external(ports[name], graph) for name in graph.outputs),
        layers=tuple(_layer_infos(plan, streams)),
        layer_of=np.array(emitter.layer_of, np.int32),
        regions=tuple(_regions(plan, places, ports, written)),
        hosts=tuple(_moved_call(call, base) for call in hosts),
        streams=tuple(moved_stream(call, base) for call in calls),
        notes={
            "lower_bound_cycles": bound.cycles,
            "lower_bound_dram_bytes": bound.dram_bytes,
            "lower_bound_binds": bound.binds,
            "activation_bytes": plan.placement.bytes,
            "peak_live_bytes": plan.placement.peak_live_bytes,
            "activation_bytes_proved": plan.placement.proved,
        },
    )


def _stream_cycles(plan: Schedule, emitter: Emitter) -> dict[str, int]:
    """Return the cycles of the layers that stream."""
    made, found = by_name("stream"), Counter[str]()
    names, cycles = made.operand_names("cycles"), made.clauses["cycles"]
    for word, layer in zip(emitter.words, emitter.layer_of, strict=True):
        if word.opcode == made.opcode:
            taken = cycles(emitter.chip.timing, **{n: word.operands[n] for n in names})
            found[plan.graph.layers[layer].name] += int(taken[0])
    return dict(found)


def _relocate(words: list[Word], base: int) -> list[Word]:
    """Return the words with activation addresses moved behind the constants."""
    return [_relocated(word, base) for word in words]


def _relocated(word: Word, base: int) -> Word:
    if word.instruction.queue not in (Queue.LOAD, Queue.STORE):
        return word
    key = "dst" if word.instruction.queue is Queue.STORE else "src"
    if word.operands[key] < ACTIVATIONS:
        return word
    return replace(word, operands={**word.operands, key: word.operands[key] + base})


def port_of(places: Places, name: str) -> Port:
    """Return a tensor's port; its address is still that of lowering."""
    tensor, view = places.graph.tensors[name], places.view(name)
    quant = tensor.quant
    scale, zero = (float(quant.scale), int(quant.zero_point)) if quant is not None else (1.0, 0)
    space, address = ("act", view.offset) if view.region == ON_CHIP else ("dram", places.address(view))
    (n, h, w, _), (image, row, pixel) = view.extents, view.strides
    gaps = {"row": row if h > 1 and row != w * pixel else 0}
    gaps["image"] = image if n > 1 and image != h * (gaps["row"] or w * pixel) else 0
    return Port(
        name, tensor.shape, tensor.dtype, tensor.dtype, scale, zero, address, view.extents, pixel, space, **gaps
    )  # fmt: skip


def _moved(port: Port, base: int) -> Port:
    return replace(port, address=port.address + base) if port.space == "dram" else port


def _external(port: Port, graph: Graph) -> Port:
    """Return the port with the type the model shows: float32 unless the model itself is integer there."""
    if port.name in graph.io_types:
        return replace(port, dtype=graph.io_types[port.name])
    return port if port.name in graph.integer_io or port.stored == "int32" else replace(port, dtype="float32")


def _regions(plan: Schedule, places: Places, ports: Mapping[str, Port], written: Mapping[str, int]) -> list[Region]:
    """Return the memory map: every tensor in DRAM, the layers between which it is used, and when it is complete."""
    consumers, producers = plan.graph.consumers(), plan.graph.producers()
    found = []
    for name, complete in written.items():
        first = places.layer_index[producers[name].name]
        last = max((places.layer_index[layer.name] for layer in consumers[name]), default=first)
        port = ports[name]
        found.append(Region(name, port.address, port.bytes, first, last, complete, port))
    return found


def _layer_infos(plan: Schedule, streams: Mapping[str, int]) -> list[LayerInfo]:
    chosen = {layer.name: entry for entry in plan.plans for layer in entry.stage.layers}
    predicted = Counter(streams)
    for entry in plan.plans:
        predicted[entry.stage.layers[0].name] += entry.cost.cycles if entry.cost is not None else 0
    return [_layer_info(plan, layer, chosen.get(layer.name), predicted[layer.name]) for layer in plan.graph.layers]


def _layer_info(plan: Schedule, layer: Layer, entry: StagePlan | None, predicted: int) -> LayerInfo:
    tiling = entry.tiling if entry is not None else None
    tile = (
        {}
        if tiling is None
        else {
            "rows": tiling.rows,
            "cols": tiling.cols,
            "channels": tiling.channels,
            "depth": tiling.depth,
        }
    )
    return LayerInfo(
        name=layer.name,
        op=layer.op,
        source=layer.source,
        macs=macs(plan.graph, layer),
        dataflow=tiling.dataflow if tiling is not None and entry is not None and entry.stage.head is layer else "",
        tile=tile,
        lower_bound_cycles=layer_bound(plan.graph, layer, plan.chip),
        predicted_cycles=predicted,
    )


def _host_call(places: Places, layer: Layer) -> HostCall:
    names = [name for name in layer.inputs if name and places.graph.tensors[name].data is None]
    inputs, outputs = (tuple(port_of(places, name) for name in group) for group in (names, layer.outputs))
    return HostCall(
        layer.name,
        layer.attrs["op_type"],
        layer.attrs["reason"],
        layer.attrs["model"],
        tuple(p if p.stored == "int32" else replace(p, dtype="float32") for p in inputs),
        tuple(p if p.stored == "int32" else replace(p, dtype="float32") for p in outputs),
        _host_seconds(places.emitter.chip, (*inputs, *outputs)),
    )


def _host_seconds(chip: Chip, ports: tuple[Port, ...]) -> float:
    """Return the stated price of a host operator: moving its tensors as float32, and a fixed work for each element."""
    elements = sum(math.prod(port.shape) for port in ports)
    host = chip.host
    return 4 * elements / host.bytes_per_second + HOST_FLOPS_PER_ELEMENT * elements / host.flops_per_second


def _moved_call(call: HostCall, base: int) -> HostCall:
    inputs, outputs = (tuple(_moved(p, base) for p in group) for group in (call.inputs, call.outputs))
    return replace(call, inputs=inputs, outputs=outputs)


__all__ = ["lower"]
