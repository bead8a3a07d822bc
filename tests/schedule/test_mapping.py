"""Mappings by hand: what is pinned is followed to the letter, what is illegal is refused with the buffer and bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from accelc import reference
from accelc.arithmetic import dequantize_array
from accelc.chip import Chip, load_chip
from accelc.compiler import Options, compile_stages
from accelc.errors import MappingError, ScheduleError
from accelc.graph import Graph, verify_quantized
from accelc.lower import lower
from accelc.schedule import Schedule, schedule
from accelc.schedule.dump import dump_mapping
from accelc.schedule.geometry import Geometry, geometry_of
from accelc.schedule.mapping import FREE, Mapping, Pin, parse_mapping, read_mapping
from accelc.schedule.pinned import broken
from accelc.schedule.search import StagePlan
from accelc.schedule.stages import cut_behind, prepare
from accelc.sim.machine import Machine
from accelc.sim.timing import time_program
from tests.lower.graphs import Net
from tests.lower.test_lower import CASES, CHIPS, random_inputs
from tests.schedule.test_cascade import differing

EDGE, GEMMINI = load_chip("edge"), load_chip("gemmini")


def pinned(**layers: Pin) -> Mapping:
    return Mapping(layers)


def convolutions(channels: int = 64, size: int = 40) -> Graph:
    """Return conv0, conv1, conv2, each of its own stage, on maps of one size."""
    net = Net(0)
    y = net.input(1, 16, size, size)
    for _ in range(3):
        y = net.conv(y, channels, pads=(1, 1, 1, 1))
    return net.graph(y)


def pooled() -> Graph:
    """Return a stage of conv0, max_pool1."""
    net = Net(0)
    y = net.conv(net.input(1, 16, 40, 40), 64, pads=(1, 1, 1, 1))
    return net.graph(net.pool("max_pool", y, (2, 2), (2, 2)))


def plan_of(made: Schedule, layer: str) -> StagePlan:
    return next(plan for plan in made.plans if layer in [each.name for each in plan.stage.layers])


# --- the file


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[layers.conv0]\nrwos = 2", "layer 'conv0': unknown key 'rwos'; did you mean 'rows'?"),
        ("[layers.conv0]\nrows = 0", "layer 'conv0': rows = 0: a whole number of at least 1 would work"),
        ("[layers.conv0]\nrows = 2.0", "layer 'conv0': rows = 2.0: a whole number of at least 1 would work"),
        ('[layers.conv0]\nrows = "4"', "layer 'conv0': rows = \"4\": a whole number of at least 1 would work"),
        ("[layers.conv0]\nrows = true", "layer 'conv0': rows = true: a whole number of at least 1 would work"),
        ("[layers.conv0]\nslots = 3", "layer 'conv0': slots = 3: 1 or 2 would work"),
        ("[layers.conv0]\nsums = 0", "layer 'conv0': sums = 0: 1 or 2 would work"),
        ("[layers.conv0]\nhold = 1", "layer 'conv0': hold = 1: true or false would work"),
        ('[layers.conv0]\norder = "rows"', 'layer \'conv0\': order = "rows": "weights" or "map" would work'),
        ("[defaults]\nhold = true", "defaults: hold = true is said layer by layer; false may be a default"),
        ("[layer.conv0]\nrows = 1", "unknown table 'layer'; [defaults] and [layers.NAME] would work"),
        ("[layers]\nconv0 = 3", "layer 'conv0': 3 is not a table of keys (rows, cols, channels"),
        ("rows =", "not TOML: "),
    ],
)
def test_a_file_that_says_nothing_legal_is_refused(text: str, message: str) -> None:
    with pytest.raises(MappingError) as raised:
        parse_mapping(text, "m.toml")
    assert str(raised.value).startswith(f"m.toml: {message}")


def test_a_file_that_is_missing_is_refused() -> None:
    with pytest.raises(MappingError, match=r"none\.toml: cannot be read"):
        read_mapping("none.toml")


def test_a_file_is_read() -> None:
    text = '[defaults]\norder = "map"\n[layers."/a/b"]\nrows = 3\nhold = false'
    assert parse_mapping(text, "m") == Mapping({"/a/b": Pin(rows=3, hold=False)}, Pin(order="map"), "m")


# --- what is pinned is followed


def test_extents_need_not_be_among_those_tried() -> None:
    pin = Pin(rows=7, cols=11, channels=23, depth=8, kernel_rows=2, order="map", slots=1)
    t = plan_of(schedule(convolutions(), EDGE, mapping=pinned(conv1=pin)), "conv1").tiling
    assert t is not None
    assert (t.rows, t.cols, t.channels, t.depth, t.kernel_rows, t.weights_outer, t.slots) == (7, 11, 23, 8, 2, False, 1)


@pytest.mark.parametrize(
    ("key", "value"),
    [("rows", 7), ("cols", 9), ("channels", 20), ("depth", 12), ("kernel_rows", 2), ("slots", 1), ("sums", 1),
     ("dataflow", "os")],
)
def test_one_key_alone_leaves_the_rest_to_the_search(key: str, value: int | str) -> None:
    plan = plan_of(schedule(convolutions(), GEMMINI, mapping=pinned(conv1=Pin(**{key: value}))), "conv1")  # type: ignore[arg-type]
    assert getattr(plan.tiling, key) == value


def test_one_tile_of_sums_is_taken_where_that_saves_transfers() -> None:
    """A dilated convolution of 41 x 41 outputs reads nearly the whole map for each tile; larger tiles read it less."""
    net = Net(2)
    graph = net.graph(net.conv(net.input(1, 256, 41, 41), 24, pads=(24,) * 4, dilations=(24, 24)))
    free, two = (schedule(graph, EDGE, mapping=pinned(conv0=Pin(sums=sums))) for sums in (None, 2))
    assert [plan.plans[0].tiling.sums for plan in (free, two) if plan.plans[0].tiling] == [1, 2]
    taken = [time_program(lower(plan, EDGE), EDGE).cycles for plan in (free, two)]
    assert taken[0] < taken[1]
    assert differing(graph, free) == 0


def test_defaults_hold_for_all_others_as_far_as_they_reach() -> None:
    """A default larger than a layer is cut to it; a layer's own pin goes before."""
    mapping = Mapping({"conv1": Pin(rows=3)}, Pin(rows=50, depth=48))
    plans = schedule(convolutions(), EDGE, mapping=mapping).plans
    found = [(plan.tiling.rows, plan.tiling.depth) for plan in plans if plan.tiling]
    assert found == [(40, 16), (3, 48), (40, 48)]


def test_a_stage_is_cut_where_the_file_says() -> None:
    whole = schedule(pooled(), EDGE, mapping=pinned(conv0=Pin(cut=False)))
    cut = schedule(pooled(), EDGE, mapping=pinned(conv0=Pin(cut=True)))
    assert [[layer.op for layer in plan.stage.layers] for plan in whole.plans] == [["conv", "max_pool"]]
    assert [[layer.op for layer in plan.stage.layers] for plan in cut.plans] == [["conv"], ["max_pool"]]


def test_a_pinned_tile_is_one_of_the_whole_stage() -> None:
    """20 rows are all that the pooling makes; were the convolution to run alone, it would make 40."""
    with pytest.raises(MappingError, match="layer 'conv0': rows = 40: there are 20 rows of the result"):
        schedule(pooled(), EDGE, mapping=pinned(conv0=Pin(rows=40)))
    made = schedule(pooled(), EDGE, mapping=pinned(conv0=Pin(rows=40, cut=True)))
    assert next(plan.tiling.rows for plan in made.plans if plan.tiling) == 40


def test_maps_are_held_or_not_as_the_file_says() -> None:
    free = schedule(convolutions(), EDGE)
    assert len(free.residency.places) == 2
    output = plan_of(free, "conv0").stage.output
    one = schedule(convolutions(), EDGE, mapping=pinned(conv0=Pin(hold=True), conv1=Pin(hold=False)))
    assert list(one.residency.places) == [output]
    none = schedule(convolutions(), EDGE, mapping=Mapping(defaults=Pin(hold=False)))
    assert not none.residency.places


def test_a_map_that_several_stages_write_is_held_for_all_of_them() -> None:
    net = Net(0)
    x, quant = net.input(1, 16, 8, 8), net.quant()
    parts = [net.conv(x, k, (1, 1)) for k in (24, 8)]
    net.tensors |= {name: replace(net.tensors[name], quant=quant) for name in parts}
    joined = net.layer("concat", tuple(parts), (1, 32, 8, 8), quant, axis=1)
    graph = net.graph(net.conv(joined, 16, (1, 1)))
    made = schedule(graph, EDGE, mapping=Mapping({"conv1": Pin(hold=True)}, Pin(hold=False)))
    assert list(made.residency.places) == [joined]
    with pytest.raises(MappingError, match="'conv1': hold: 'conv0' writes the same map and says otherwise"):
        schedule(graph, EDGE, mapping=pinned(conv0=Pin(hold=False), conv1=Pin(hold=True)))


def test_a_tile_may_fit_only_with_its_source_held() -> None:
    """Two slots of 42 x 42 x 128 bytes of source do not fit beside two of 40 x 40 x 16 of output; one map held does."""
    graph = convolutions(128, 40)
    tile = Pin(rows=40, cols=40, channels=16, depth=128, slots=2)
    chip = scaled(EDGE, act=288 << 10, acc=256 << 10)
    with pytest.raises(ScheduleError, match=r"it needs 503040 bytes of act \(has 294912\)"):
        schedule(graph, chip, mapping=pinned(conv1=tile, conv0=Pin(hold=False)))
    made = schedule(graph, chip, mapping=pinned(conv1=tile))
    assert made.residency.held(made.views[plan_of(made, "conv0").stage.output].region)


def scaled(chip: Chip, **sizes: int) -> Chip:
    values = chip.model_dump()
    for name, size in sizes.items():
        values["buffers"][name]["bytes"] = size
    return Chip.model_validate(values)


# --- what is illegal is refused


@pytest.mark.parametrize(
    ("pin", "message"),
    [
        (Pin(rows=41), "conv1': rows = 41: there are 40 rows of the result"),
        (Pin(depth=65), "conv1': depth = 65: there are 64 input channels of a group"),
        (Pin(depth=6), "conv1': depth = 6: a multiple of 4, or all 64, would work"),
        (Pin(kernel_rows=4), "conv1': kernel_rows = 4: there are 3 rows of the kernel"),
        (Pin(dataflow="rs"), "conv1': dataflow = \"rs\": chip 'edge' offers ws"),
        (Pin(hold_weights=True), r"conv1': hold_weights = true: they take \d+ bytes of wgt \(has 524288\)"),
        (
            Pin(rows=40, cols=40, channels=64),
            r"'conv1' \(conv, output \[1, 64, 40, 40\]\): the pinned rows = 40, cols = 40, channels = 64 does not fit "
            r"chip 'edge', all else as small as it can be: it needs 409600 bytes of acc \(has 131072\)",
        ),
    ],
)
def test_a_pin_that_a_stage_cannot_follow_names_the_rule(pin: Pin, message: str) -> None:
    with pytest.raises(ScheduleError, match=message):
        schedule(convolutions(), EDGE, mapping=pinned(conv1=pin))


def test_a_layer_that_does_not_exist_or_has_no_mapping_is_refused() -> None:
    with pytest.raises(MappingError, match=r"layer 'cnv1' is unknown; did you mean 'conv1'"):
        schedule(convolutions(), EDGE, mapping=pinned(cnv1=FREE))
    with pytest.raises(MappingError, match="layer 'node1' is unknown; that node became part of layer 'conv1'"):
        schedule(convolutions(), EDGE, mapping=pinned(node1=FREE))
    net = Net(0)
    x = net.input(1, 16, 8, 8)
    graph = net.graph(net.layer("reshape", (x,), (1, 1024), net.tensors[x].quant))
    with pytest.raises(MappingError, match=r"layer 'reshape0': rows: a layer that .* \(reshape\) has no mapping"):
        schedule(graph, EDGE, mapping=pinned(reshape0=Pin(rows=1)))


def test_layers_of_one_stage_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(MappingError, match="'conv0' of the same stage has rows = 3; cut = true for 'conv0' would"):
        schedule(pooled(), EDGE, mapping=pinned(conv0=Pin(rows=3), max_pool1=Pin(rows=4)))


def test_stages_that_cannot_run_abreast_are_refused() -> None:
    with pytest.raises(MappingError, match="'conv2': abreast = true: its tiles and the next stage's cannot"):
        schedule(convolutions(), EDGE, mapping=pinned(conv2=Pin(abreast=True)))
    with pytest.raises(MappingError, match=r"'conv0': abreast = true: without .* no stages run abreast"):
        schedule(convolutions(), EDGE, residency=False, mapping=pinned(conv0=Pin(abreast=True)))


def test_stages_run_abreast_where_that_is_asked_for() -> None:
    plan = schedule(convolutions(), EDGE, mapping=pinned(conv0=Pin(abreast=True)))
    assert plan.pairs == {0}
    assert not schedule(convolutions(), EDGE, mapping=pinned(conv0=Pin(abreast=False))).pairs


def test_a_map_that_cannot_be_held_is_refused_with_the_reason() -> None:
    graph = convolutions()
    with pytest.raises(MappingError, match=r"'conv2': hold = true: map '.*' cannot be held: it is an output"):
        schedule(graph, EDGE, mapping=pinned(conv2=Pin(hold=True)))
    small = scaled(EDGE, act=64 << 10)
    with pytest.raises(MappingError, match=r"'conv0': .* it needs \d+ bytes of act \(has 65536\)"):
        schedule(graph, small, mapping=pinned(conv0=Pin(hold=True)))
    with pytest.raises(MappingError, match="'conv0': hold = true: without residency"):
        schedule(graph, EDGE, residency=False, mapping=pinned(conv0=Pin(hold=True)))
    net = Net(0)
    y = net.conv(net.input(1, 16, 8, 8), 16, (1, 1))
    moved = net.layer("transpose", (y,), (1, 8, 8, 16), net.tensors[y].quant, perm=(0, 2, 3, 1))
    with pytest.raises(MappingError, match=r"a copy, layer 'transpose1' \(transpose\), touches it in DRAM"):
        schedule(net.graph(net.conv(moved, 16, (1, 1))), EDGE, mapping=pinned(conv0=Pin(hold=True)))


def test_maps_held_that_leave_a_stage_no_room_are_named_with_their_bytes() -> None:
    graph = convolutions()
    chip = scaled(EDGE, act=216 << 10)
    tile = Pin(rows=40, cols=40, channels=16, depth=64, slots=1)
    both = pinned(conv0=Pin(hold=True), conv1=replace(tile, hold=True))
    with pytest.raises(ScheduleError, match=r"'conv1': no tile fits beside the maps held by hand: 't.*' \(\d+ bytes\)"):
        schedule(graph, chip, mapping=both)


# --- any legal pin gives the right integers


@pytest.mark.parametrize("seed", range(24))
def test_any_legal_mapping_computes_the_reference(seed: int) -> None:
    random = Random(seed)
    name, chip = random.choice(list(CASES)), CHIPS[random.choice(list(CHIPS))]
    net = Net(seed, random.choice(["uint8", "int8"]))
    graph = verify_quantized(net.graph(CASES[name](net)))
    made = fitting(graph, chip, drawn(random, graph, chip))
    integers = random_inputs(graph)
    floats = {key: dequantize_array(data, graph.tensors[key].quant) for key, data in integers.items()}
    values = Machine(lower(made, chip), chip).run(floats)
    wanted = reference.run(graph, integers, requantize=chip.requantization)
    assert all((values.integers[key] == wanted[key]).all() for key in graph.outputs)


def drawn(random: Random, graph: Graph, chip: Chip) -> Mapping:
    """Return random pins of all stages, cut at random."""
    machine, views, stages = prepare(graph)
    pins: dict[str, Pin] = {}
    for stage in (s for s in stages if s.kind == "tile"):
        ends = [k for k in range(len(stage.layers) - 1) if random.random() < 0.3]
        for layer in stage.layers[:-1]:
            pins[layer.name] = Pin(cut=layer in [stage.layers[k] for k in ends])
        for part in cut_behind(machine, stage, ends):
            first = part.layers[0].name
            pin = drawn_pin(random, geometry_of(machine, part, views, chip), chip)
            pins[first] = replace(pin, cut=pins.get(first, FREE).cut)
    return Mapping(pins)


def drawn_pin(random: Random, g: Geometry, chip: Chip) -> Pin:
    def extent(most: int) -> int | None:
        return random.choice([None, random.randint(1, most)])

    depth = min(4 * random.randint(1, g.group_in // 4 + 1), g.group_in) if random.random() < 0.5 else None
    pin = Pin(
        dataflow=random.choice([None, *chip.array.dataflows]),
        rows=extent(g.out[0]),
        cols=extent(g.out[1]),
        channels=extent(g.mid[2]),
        depth=depth,
        kernel_rows=extent(g.conv[0].kernel),
        order=random.choice([None, "weights", "map"]),  # type: ignore[arg-type]
        slots=random.choice([None, 1, 2]),
        sums=random.choice([None, 1, 2]),
    )
    return replace(pin, **{key: None for key, _ in broken(pin, g, chip)})


def fitting(graph: Graph, chip: Chip, mapping: Mapping) -> Schedule:
    """Return the schedule under a mapping; where a tile does not fit, under what it says of cuts alone."""
    try:
        return schedule(graph, chip, mapping=mapping)
    except MappingError:
        raise  # what was drawn is legal but for its bytes
    except ScheduleError:
        return schedule(graph, chip, mapping=Mapping({name: Pin(cut=pin.cut) for name, pin in mapping.layers.items()}))


# --- a dump, read again, gives the same program


@pytest.mark.parametrize("chip", ["edge", "gemmini", "eyeriss"])
@pytest.mark.parametrize("name", ["alexnet", "googlenet", "resnet18", "lstm", "resnext50_32x4d", "mlp"])
def test_a_dump_gives_the_same_bytes_again(name: str, chip: str, tmp_path: Path) -> None:
    options = Options(tiny=True)
    first = compile_stages(name, chip, options)
    assert first.schedule is not None
    mapping = parse_mapping(dump_mapping(first.schedule))
    again = compile_stages(name, chip, replace(options, mapping=mapping))
    first.finished.save(tmp_path / "first.npu")
    again.finished.save(tmp_path / "again.npu")
    assert (tmp_path / "first.npu").read_bytes() == (tmp_path / "again.npu").read_bytes()
    assert again.schedule is not None
    assert str(again.schedule) == str(first.schedule)


def test_a_dump_of_a_crowded_chip_and_of_no_residency_gives_the_same_schedule() -> None:
    graph, chip = convolutions(96, 40), scaled(EDGE, act=160 << 10, wgt=64 << 10, acc=32 << 10)
    for residency in (True, False):
        first = schedule(graph, chip, residency=residency)
        again = schedule(graph, chip, mapping=parse_mapping(dump_mapping(first)))
        assert str(again) == str(first)


def test_a_name_that_is_no_bare_key_is_quoted() -> None:
    net = Net(0)
    graph = net.graph(net.conv(net.input(1, 16, 8, 8), 16, (1, 1)))
    odd = graph.with_layers([replace(layer, name='/a."b"\\c') for layer in graph.layers], dict(graph.tensors))
    first = schedule(odd, EDGE)
    assert list(parse_mapping(dump_mapping(first)).layers) == ['/a."b"\\c']


def test_held_maps_lie_where_the_file_says() -> None:
    """The two maps of the three convolutions, in places the other way round from those that are chosen."""
    free = schedule(convolutions(), EDGE)
    (a, b), size = free.residency.places, EDGE.timing.act_bytes
    low, high = sorted(free.residency.places.values())
    swapped = {a: low if free.residency.places[a] == high else high}
    swapped[b] = low + high - swapped[a]
    pins = {plan.stage.layers[0].name: plan.stage.output for plan in free.plans if plan.stage.output in swapped}
    mapping = Mapping({layer: Pin(hold=True, at=swapped[name]) for layer, name in pins.items()})
    assert schedule(convolutions(), EDGE, mapping=mapping).residency.places == swapped
    first = next(iter(pins))
    with pytest.raises(MappingError, match=f"layer '{first}': at = 100: a multiple of 64 would work"):
        schedule(convolutions(), EDGE, mapping=Mapping({first: Pin(hold=True, at=100)}))
    same = Mapping({layer: Pin(hold=True, at=size - 64 * 2048) for layer in pins})
    with pytest.raises(ScheduleError, match="the maps held by hand leave gaps"):
        schedule(convolutions(), EDGE, mapping=same)
