"""Chip files: the shipped ones load; a wrong one gives one message that names the value and the rule."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

from accelc.chip import Chip, load_chip, parse_chip, shipped
from accelc.errors import ChipError
from tests.conftest import Golden

EDGE = (resources.files("accelc.chip") / "edge.toml").read_text(encoding="utf-8")


def edited(old: str, new: str) -> str:
    """Return edge.toml with its first `old` replaced."""
    assert old in EDGE, f"edge.toml has no '{old}' to edit"
    return EDGE.replace(old, new, 1)


WRONG = {
    "unknown key": edited("[vector]\n", "[vector]\nlane = 3\n"),
    "unknown section": EDGE + "\n[cache]\nbytes = 1\n",
    "missing key": edited("voltage_v = 0.8\n", ""),
    "missing section": EDGE[: EDGE.index("[host]")],
    "zero": edited("lanes = 32", "lanes = 0"),
    "negative": edited("clock_mhz = 1000", "clock_mhz = -5"),
    "text for number": edited("rows = 32", 'rows = "many"'),
    "fraction for count": edited("outstanding = 16", "outstanding = 1.5"),
    "not a number": edited("voltage_v = 0.8", "voltage_v = nan"),
    "infinite": edited("clock_mhz = 1000", "clock_mhz = inf"),
    "too many": edited("rows = 32", "rows = 5000"),
    "unknown dataflow": edited('dataflows = ["ws"]', 'dataflows = ["ws", "xs"]'),
    "no dataflow": edited('dataflows = ["ws"]', "dataflows = []"),
    "unknown organization": edited('"systolic"', '"torus"'),
    "banks do not divide": edited("banks = 16", "banks = 15"),
    "beyond the address": edited("bytes = 524288", "bytes = 536870912"),
    "split and unified": EDGE + "\n[buffers.unified]\nbytes = 1024\nbanks = 1\nports = 1\nwidth_bytes = 16\n",
    "not a power of two": edited("row_bytes = 2048", "row_bytes = 2000"),
    "row below burst": edited("row_bytes = 2048", "row_bytes = 32"),
    "refresh too long": edited("refresh_ns = 280", "refresh_ns = 9999"),
    "duplicate key": edited("lanes = 32", "lanes = 32\nlanes = 16"),
    "not TOML": "rows: 32\n",
    "empty": "",
    "no core": edited("voltage_v = 0.8\n", "voltage_v = 0.8\ncores = 0\n"),
    "too many cores": edited("voltage_v = 0.8\n", "voltage_v = 0.8\ncores = 17\n"),
    "a clock beyond all counts": edited("clock_mhz = 1000", "clock_mhz = 1e300"),
    "a time beyond all counts": edited("activate_ns = 18", "activate_ns = 1e12"),
    "a rate of next to nothing": edited("flops_per_second = 4.0e9", "flops_per_second = 1e-300"),
    "more requests than sense": edited("outstanding = 16", "outstanding = 100000000"),
    "more than 64 bits": edited("bytes_per_cycle = 32", "bytes_per_cycle = 99999999999999999999"),
    "a latency beyond all counts": edited("issue_cycles = 16", "issue_cycles = 4611686018427387904"),
    "unknown base": 'base = "edgy"\nname = "mine"\n',
    "no name for a base": 'base = ["edge"]\n',
    "unknown key over a base": 'base = "edge"\ncore = 2\n',
}


@pytest.mark.parametrize("name", shipped())
def test_shipped_chips_load_under_their_file_name(name: str) -> None:
    chip = load_chip(name)
    assert chip.name == name
    assert chip.timing.array_rows == chip.array.rows
    assert load_chip(chip) is chip


def test_a_path_loads_the_same_chip_as_the_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(EDGE, encoding="utf-8")
    assert load_chip(path) == load_chip("edge") == load_chip(str(path))


def test_messages_of_wrong_chips(golden: Golden) -> None:
    """One line each, naming the key, the value and the rule."""
    shown = []
    for case, text in WRONG.items():
        with pytest.raises(ChipError) as caught:
            parse_chip(text, "mine.toml")
        assert "\n" not in str(caught.value)
        shown.append(f"{case}\n    {caught.value}")
    golden("\n".join(shown))


def test_what_is_no_chip_file_is_refused_with_the_shipped_names(tmp_path: Path) -> None:
    names = ", ".join(shipped())
    with pytest.raises(ChipError, match=rf"chip 'nope' is neither a file nor a shipped chip \({names}\)"):
        load_chip("nope")
    with pytest.raises(ChipError, match="neither a file"):
        load_chip(tmp_path)
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ChipError, match="cannot be read"):
        load_chip(binary)


def test_a_copy_takes_nothing_along_that_followed_from_what_it_changes() -> None:
    edge = load_chip("edge")
    known = edge.fingerprint, edge.timing
    fast = edge.model_copy(update={"clock_mhz": 2 * edge.clock_mhz})
    assert fast.fingerprint != known[0]
    assert fast.timing.dram_burst_cycles > known[1].dram_burst_cycles
    assert (edge.fingerprint, edge.timing) == known


def changed(**values: object) -> Chip:
    return load_chip("edge").model_copy(update=values)


def test_the_fingerprint_follows_every_parameter_but_not_the_prose() -> None:
    edge = load_chip("edge")
    assert len(edge.fingerprint) == 16
    assert changed(description="another", sources={}).fingerprint == edge.fingerprint
    assert changed(clock_mhz=999.0).fingerprint != edge.fingerprint
    assert parse_chip(edited("refresh_ns = 280", "refresh_ns = 281"), "x").fingerprint != edge.fingerprint


def test_a_chip_over_a_base_says_what_differs() -> None:
    text = 'base = "edge"\nname = "mine"\n[dram]\nburst_ns = 2.5\n[dram.sources]\nburst_ns = "twice as wide"\n'
    mine, edge = parse_chip(text, "mine.toml"), load_chip("edge")
    assert (mine.name, mine.dram.burst_ns, mine.dram.sources["burst_ns"]) == ("mine", 2.5, "twice as wide")
    assert mine.dram.sources["activate_ns"] == edge.dram.sources["activate_ns"]
    assert mine.model_copy(update={"dram": edge.dram, "name": "edge"}).fingerprint == edge.fingerprint


def test_one_core_leaves_no_trace_in_a_description() -> None:
    """A chip of one core has the description, and so the fingerprint, that it had before there were several."""
    edge, two = load_chip("edge"), load_chip("edge_2core")
    assert "cores" not in edge.model_dump() | edge.model_dump(mode="json")
    assert two.model_dump()["cores"] == 2
    assert Chip.model_validate(two.model_dump(mode="json")).fingerprint == two.fingerprint != edge.fingerprint
    assert (two.peak_macs_per_cycle, two.dram_bytes_per_cycle) == (2048, edge.dram_bytes_per_cycle)


def test_latencies_round_up_to_cycles() -> None:
    """17.5 ns at 1000 MHz is 18 cycles; 5 ns is exactly 5, at 1600 MHz exactly 8."""
    assert load_chip("edge").timing.dram_access_cycles == 18
    assert load_chip("edge").timing.dram_burst_cycles == 5
    assert parse_chip(edited("clock_mhz = 1000", "clock_mhz = 1600"), "x").timing.dram_burst_cycles == 8


def test_chips_are_values() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_chip("edge").clock_mhz = 1.0
