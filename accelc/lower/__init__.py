"""From a Schedule to a Program: instructions with their tokens, packed constants, memory map and source map."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from accelc.chip import Chip
from accelc.graph import JOIN_OPS, Graph, Layer, macs
from accelc.isa import Queue, Word, by_name, encode
from accelc.isa import events as ev
from accelc.lower.copies import lower_copy
from accelc.lower.emitter import ALIGN, Emitter
from accelc.lower.pair import lower_pair
from accelc.lower.places import ON_CHIP, Places
from accelc.lower.stream import lower_stream, moved_stream
from accelc.lower.tile import TileStage
from accelc.lower.tokens import ACTIVATIONS
from accelc.program import HostCall, LayerInfo, Port, Program, Region, StreamCall
from accelc.schedule import Schedule, StagePlan
from accelc.schedule.alone import host_names, host_seconds
from accelc.schedule.bounds import Bound, Fixed, bounds_of, network_bound
from accelc.schedule.split import shares
from accelc.schedule.views import round_up


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
        emitter.begin_stage(range(max(_cores(each) for each in together)))
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
    emitter.end()
    return _program(plan, places, hosts, calls, written)


def _cores(entry: StagePlan) -> int:
    """Return how many cores share a stage."""
    return 1 if entry.tiling is None else entry.tiling.shares


def _lower_tiles(places: Places, entry: StagePlan) -> None:
    """Emit a tile stage, core after core."""
    assert entry.geometry is not None
    assert entry.tiling is not None
    emitter, first = places.emitter, None
    for emitter.core, share in enumerate(shares(entry.geometry, entry.tiling)):
        made = TileStage(places, entry, share, first)
        made.lower()
        first = first or made
    emitter.core = 0


def _lower_stage(places: Places, entry: StagePlan, hosts: list[HostCall], calls: list[StreamCall]) -> None:
    if entry.stage.kind == "tile":
        _lower_tiles(places, entry)
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
    streams, chip = _fixed(plan, emitter), plan.chip
    bounds = bounds_of(graph, plan.views, chip, plan.plans, streams)
    bound, host_j = network_bound(plan.views, chip, order, bounds), _host_joules(chip, hosts)
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
        layers=tuple(_layer_infos(plan, bounds, host_j)),
        layer_of=np.array(emitter.layer_of, np.int32),
        regions=tuple(_regions(plan, places, ports, written)),
        hosts=tuple(_moved_call(call, base) for call in hosts),
        streams=tuple(moved_stream(call, base) for call in calls),
        notes={
            "lower_bound_cycles": bound.cycles,
            "lower_bound_dram_bytes": bound.dram_bytes,
            "lower_bound_binds": bound.binds,
            "lower_bound_energy_j": bound.energy_j + sum(host_j.values()),
            "activation_bytes": plan.placement.bytes,
            "peak_live_bytes": plan.placement.peak_live_bytes,
            "activation_bytes_proved": plan.placement.proved,
        },
    )


def _fixed(plan: Schedule, emitter: Emitter) -> dict[str, Fixed]:
    """Return what the layers that stream take."""
    made, found = by_name("stream"), dict[str, Fixed]()
    timed, counted = made.operand_names("cycles"), made.operand_names("events")
    for word, layer in zip(emitter.words, emitter.layer_of, strict=True):
        if word.opcode == made.opcode:
            name, o, events = plan.graph.layers[layer].name, word.operands, np.zeros(len(ev.NAMES), np.int64)
            cycles = int(made.clauses["cycles"](emitter.chip.timing, **{n: o[n] for n in timed})[0])
            made.clauses["events"](events, emitter.chip.timing, **{n: o[n] for n in counted})
            before = found.get(name, Fixed(0, 0, np.zeros_like(events)))
            moved = int(events[ev.DRAM_READ_BYTES] + events[ev.DRAM_WRITE_BYTES])
            found[name] = Fixed(before.cycles + cycles, before.dram_bytes + moved, before.events + events)
    return found


def _host_joules(chip: Chip, hosts: list[HostCall]) -> dict[str, float]:
    """Return the energy of the host by layer: how long it works is stated, so it has no other bound."""
    found: dict[str, float] = {}
    for call in hosts:
        found[call.name] = found.get(call.name, 0.0) + chip.host.power_w * call.seconds
    return found


def _relocate(words: list[Word], base: int) -> list[Word]:
    """Return the words with activation addresses moved behind the constants."""
    return [_relocated(word, base) for word in words]


def _relocated(word: Word, base: int) -> Word:
    if word.instruction.queue not in (Queue.LOAD, Queue.STORE):
        return word
    key = "dst" if word.instruction.queue is Queue.STORE else "src"
    if word.operands[key] < ACTIVATIONS:
        return word
    return Word(word.opcode, {**word.operands, key: word.operands[key] + base}, word.wait, word.core)


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


def _layer_infos(plan: Schedule, bounds: Mapping[str, Bound], host_j: Mapping[str, float]) -> Iterator[LayerInfo]:
    chosen = {layer.name: entry for entry in plan.plans for layer in entry.stage.layers}
    openers = {entry.stage.layers[0].name: k for k, entry in reversed([*enumerate(plan.plans)])}
    stages = {layer.name: openers[entry.stage.layers[0].name] for entry in plan.plans for layer in entry.stage.layers}
    predicted = _predicted(plan)
    for layer in plan.graph.layers:
        made = _layer_info(plan, layer, chosen.get(layer.name), predicted.get(layer.name, {}))
        bound = bounds[layer.name]
        yield replace(
            made,
            stage=stages.get(layer.name, -1),
            lower_bound_cycles=bound.array,
            lower_bound_dram_bytes=bound.dram_bytes,
            lower_bound_energy_j=bound.energy_pj * 1e-12 + host_j.get(layer.name, 0.0),
        )


def _predicted(plan: Schedule) -> dict[str, Mapping[str, int]]:
    """Return the predicted cycles by cause of each stage, all its stripes together, under the layer that opens it."""
    found: dict[str, Counter[str]] = {}
    for entry, expected in zip(plan.plans, plan.expected, strict=True):
        found.setdefault(entry.stage.layers[0].name, Counter()).update(expected.causes)
    return {name: dict(causes) for name, causes in found.items() if causes.total()}


def _layer_info(plan: Schedule, layer: Layer, entry: StagePlan | None, predicted: Mapping[str, int]) -> LayerInfo:
    tiling = entry.tiling if entry is not None else None
    tile = (
        {}
        if tiling is None
        else {
            "rows": tiling.rows,
            "cols": tiling.cols,
            "channels": tiling.channels,
            "depth": tiling.depth,
            **({f"cores_by_{tiling.split}": tiling.shares} if tiling.shares > 1 else {}),
        }
    )
    return LayerInfo(
        name=layer.name,
        op=layer.op,
        source=layer.source,
        macs=macs(plan.graph, layer),
        dataflow=tiling.dataflow if tiling is not None and entry is not None and entry.stage.head is layer else "",
        tile=tile,
        lower_bound_cycles=0,
        predicted_cycles=sum(predicted.values()),
        predicted=predicted,
    )


def _host_call(places: Places, layer: Layer) -> HostCall:
    names = host_names(places.graph.tensors, layer)
    inputs, outputs = (tuple(port_of(places, name) for name in group) for group in names)
    return HostCall(
        layer.name,
        layer.attrs["op_type"],
        layer.attrs["reason"],
        layer.attrs["model"],
        tuple(p if p.stored == "int32" else replace(p, dtype="float32") for p in inputs),
        tuple(p if p.stored == "int32" else replace(p, dtype="float32") for p in outputs),
        host_seconds(places.emitter.chip, [port.shape for port in (*inputs, *outputs)]),
    )


def _moved_call(call: HostCall, base: int) -> HostCall:
    inputs, outputs = (tuple(_moved(p, base) for p in group) for group in (call.inputs, call.outputs))
    return replace(call, inputs=inputs, outputs=outputs)


__all__ = ["lower"]
