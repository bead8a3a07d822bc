"""Energy tables: every value has a source, 16 nm follows its rule, and counts become joules as the rules say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from accelc.chip import Chip, load_chip
from accelc.chip.model import shipped
from accelc.energy import COMPONENTS, Entry, energy_of, load_table, tables
from accelc.energy.activity import spared
from accelc.energy.model import buffer_pj_per_byte, leakage_watts, prices_of, sram_pj_per_byte
from accelc.energy.page import describe_energy
from accelc.energy.rates import figures, rates_of
from accelc.energy.table import parse_table
from accelc.errors import ChipError
from accelc.isa import events as ev

EDGE = load_chip("edge")
MINIMAL = "name = 'x'\ndescription = 'x'\nnode_nm = 16\nvoltage_v = 0.8\n"


def counts(**given: int) -> np.ndarray:
    return np.array([given.get(name, 0) for name in ev.NAMES], np.int64)


def changed(part: str, key: str, value: object) -> Chip:
    values = EDGE.model_dump(exclude_none=True)
    (values if part == "" else values[part])[key] = value
    return Chip.model_validate(values)


def test_the_shipped_tables_load_and_shipped_chips_find_theirs() -> None:
    assert tables() == ("16nm", "28nm", "45nm", "65nm", "7nm")
    for name in shipped():
        assert set(energy_of(load_chip(name), counts(mac=1), 1)) == set(COMPONENTS)


PARTS = ["mac", "register_bit", "hop_bit", "vector_op", "instruction", "pe_leakage", "sram_leakage"]


@pytest.mark.parametrize("node", [16, 28])
@pytest.mark.parametrize("part", PARTS)
def test_16nm_and_28nm_are_interpolated_geometrically(part: str, node: int) -> None:
    old, new, mid = (getattr(load_table(f"{nm}nm"), part) for nm in (45, 7, node))
    share = math.log(node / 7) / math.log(45 / 7)
    assert mid.value == pytest.approx(new.value * (old.value / new.value) ** share, rel=0.005)  # three digits
    assert mid.confidence != "published"


@pytest.mark.parametrize("node", [16, 28])
def test_srams_are_interpolated_geometrically(node: int) -> None:
    share = math.log(node / 7) / math.log(45 / 7)
    for old, new, mid in zip(*(load_table(f"{nm}nm").sram for nm in (45, 7, node)), strict=True):
        assert old.capacity_bytes == new.capacity_bytes == mid.capacity_bytes
        assert mid.value == pytest.approx(new.value * (old.value / new.value) ** share, rel=0.005)


def test_sram_energy_passes_through_the_points_and_grows() -> None:
    table = load_table("45nm")
    # Horowitz: 64 bits cost 10, 20 and 100 pJ
    assert [sram_pj_per_byte(table, kib << 10) for kib in (8, 32, 1024)] == pytest.approx([1.25, 2.5, 12.5])
    # from 8 to 32 KiB energy doubles as capacity grows fourfold: the square root; at 16 KiB 1.25 * sqrt(2)
    assert sram_pj_per_byte(table, 16 << 10) == pytest.approx(1.25 * math.sqrt(2))
    assert sram_pj_per_byte(table, 1 << 10) == 1.25
    sizes = [1 << k for k in range(13, 25)]
    energies = [sram_pj_per_byte(table, size) for size in sizes]
    assert energies == sorted(energies)


def test_counts_become_joules_by_hand() -> None:
    chip = changed("", "energy", "45nm")
    n = counts(
        mac=1000, pe_wgt_read=1000, pe_psum_read=1125, pe_psum_write=1125,
        vector_op=10, instruction=2, dram_read_bytes=64, dram_activate=1,
    )  # fmt: skip
    energy = energy_of(chip, n, cycles=0, host_seconds=0.5)
    # 1000 * 0.3; (1000 * 8 + 2250 * 32) / 2 * 0.009; 10 * 0.9; 2 * 80; LPDDR4: 512 bits * 8.5 + 1205 pJ; 0.5 s * 1 W
    expected = {"mac": 300e-12, "registers": 360e-12, "vector": 9e-12, "instruction": 160e-12, "dram": 5557e-12}
    for name, joules in expected.items():
        assert energy[name] == pytest.approx(joules)
    assert energy["host"] == 0.5
    assert energy["leakage"] == energy["act_buffer"] == 0


def test_eyeriss_figures_by_hand() -> None:
    """65 nm, 16 bits: a multiply-accumulate 2 pJ, a register file 1 pJ, a hop 4 pJ; sums are stored in 16 bits."""
    chip = load_chip("eyeriss")
    n = counts(mac=100, pe_act_read=10, pe_wgt_write=20, pe_psum_read=30, hop_psum=7, acc_read_words=8)
    energy = energy_of(chip, n, cycles=200_000_000)
    assert energy["mac"] == pytest.approx(200e-12)
    assert energy["registers"] == pytest.approx(60e-12)
    assert energy["hops"] == pytest.approx(28e-12)
    # four partial sums: each is two words of 32 bits in the machine and 16 bits in the buffer, 8 bytes in all
    assert energy["acc_buffer"] == pytest.approx(8e-12 * sram_pj_per_byte(load_table("65nm"), chip.buffers.acc.bytes))
    assert energy["clock"] == chip.clock_power_w > 0


def test_a_multiplier_grows_with_the_square_of_its_operands() -> None:
    """An int8 array at 65 nm pays a quarter of the int16 figure; an int16 array at 45 nm four times the int8 one."""
    for name, table, share in (("gemmini", "65nm", 0.25), ("eyeriss", "45nm", 4.0)):
        chip = Chip.model_validate(load_chip(name).model_dump(exclude_none=True) | {"energy": table})
        assert energy_of(chip, counts(mac=1), 0)["mac"] == pytest.approx(load_table(table).mac.value * share * 1e-12)


def test_prices_are_kept_for_a_chip_and_not_for_its_name() -> None:
    """Prices are worked out once for a chip; one of the same name with another figure has its own, and so in turn."""
    hotter = changed("", "clock_power_w", 2.0)
    assert hotter.name == EDGE.name
    assert prices_of(EDGE) is prices_of(EDGE)
    for chip in (EDGE, hotter, EDGE):
        assert energy_of(chip, counts(), 10**9)["clock"] == pytest.approx(chip.clock_power_w)
        assert rates_of(chip).passing_w["clock"] == pytest.approx(chip.clock_power_w)


def test_buffers_are_priced_by_their_capacity() -> None:
    n = counts(act_read_bytes=100, act_write_bytes=28, acc_read_words=16, acc_write_words=16)
    energy = energy_of(EDGE, n, 0)
    table = load_table("16nm")
    # Accesses of 32 bytes are four times 64 bits for 1.3 times the energy, of 128 bytes sixteen times for 2.5 times.
    assert energy["act_buffer"] == pytest.approx(128e-12 * sram_pj_per_byte(table, 524288) * 1.3 / 4)
    assert energy["acc_buffer"] == pytest.approx(128e-12 * sram_pj_per_byte(table, 131072) * 2.5 / 16)


def test_banks_with_pes_of_their_own_are_priced_one_by_one() -> None:
    table, buffer = load_table("65nm"), load_chip("cambricon").buffers.wgt
    assert buffer is not None
    assert buffer.local_banks
    apart = buffer_pj_per_byte(table, buffer)
    shared = buffer_pj_per_byte(table, buffer.model_copy(update={"local_banks": False}))
    sizes = sram_pj_per_byte(table, 24 * 1024), sram_pj_per_byte(table, 768 * 1024)
    assert apart / shared == pytest.approx(sizes[0] / sizes[1])
    assert apart < shared


def test_leakage_grows_with_time_and_counts_a_unified_scratchpad_once() -> None:
    table = load_table("16nm")
    gemmini = load_chip("gemmini")
    watts = 256 * table.pe_leakage.value + (262144 + 65536) * table.sram_leakage.value
    assert leakage_watts(gemmini, table) == pytest.approx(watts)
    assert energy_of(gemmini, counts(), 2_000_000)["leakage"] == pytest.approx(watts * 0.002)


ROW = np.array([1000, 300, 4096, 2048, 1024, 2560], np.int64)  # activity.COLUMNS: macs, zeros, raw and encoded bytes


def test_what_a_zero_spares_depends_on_the_organization() -> None:
    """A PE of a row-stationary array saves the product, the weight and the sum; a systolic array's operands pass on."""
    everything = {"mac", "pe_wgt_read", "pe_psum_read", "pe_psum_write"}
    for name, expected in (("eyeriss", everything), ("shidiannao", everything - {"pe_wgt_read"}), ("edge", {"mac"})):
        values = load_chip(name).model_dump(exclude_none=True)
        values["array"]["zero_gating"] = True
        values["dma"]["compression"] = "none"
        free = dict(zip(ev.NAMES, spared(Chip.model_validate(values), ROW).tolist(), strict=True))
        assert {event: count for event, count in free.items() if count} == dict.fromkeys(expected, 300)


def test_activity_lessens_the_energy_of_a_chip_that_uses_it_and_of_no_other() -> None:
    """Eyeriss by hand: 300 products of 2 pJ, 900 register accesses of 1 pJ; 3072 bytes saved, 512 bytes more."""
    chip = load_chip("eyeriss")
    same = dict.fromkeys(("mac", "pe_act_read", "pe_wgt_read", "pe_psum_read", "pe_psum_write"), 1000)
    n = counts(**same, dram_read_bytes=8192, dram_write_bytes=8192)
    plain, active = energy_of(chip, n, 10, 1.0), energy_of(chip, n, 10, 1.0, ROW)
    dram = load_table("65nm").dram["DDR3"]
    saved = {name: plain[name] - active[name] for name in COMPONENTS}
    assert saved["mac"] == pytest.approx(600e-12)
    assert saved["registers"] == pytest.approx(900e-12)
    assert saved["dram"] == pytest.approx(8e-12 * (3072 * dram.read.value - 512 * dram.write.value))
    assert all(saved[name] == 0 for name in COMPONENTS if name not in ("mac", "registers", "dram"))
    assert energy_of(EDGE, n, 10, 1.0, ROW) == energy_of(EDGE, n, 10, 1.0)


def test_the_page_of_energy_shows_each_figure_with_its_source_and_each_memory() -> None:
    for name in shipped():
        chip = load_chip(name)
        text = describe_energy(chip)
        for entry, figure in figures(chip):
            assert f"| `{entry}` | {figure.value:.6g} | {figure.unit} | {figure.per} | {figure.confidence} |" in text
            assert figure.source.replace("|", "\\|") in text
        assert ("unified buffer" in text) == bool(chip.timing.unified)
    assert "| act buffer | 24576 | 64 | 31.89 |" in describe_energy(load_chip("eyeriss"))


def test_every_figure_has_a_source_and_a_unit() -> None:
    for name in tables():
        for _, value in load_table(name):
            for entry in [value] if isinstance(value, Entry) else value if isinstance(value, list) else []:
                assert len(entry.source) > 20
    for dram in load_table("45nm").dram.values():
        assert all(len(part.source) > 20 for part in (dram.read, dram.write, dram.activate))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "energy table 'mine' is not TOML"),
        (MINIMAL, "energy table 'mine': missing key 'mac'"),
        (MINIMAL + "volts = 1", "energy table 'mine': "),
        (MINIMAL + "[mac]\nvalue = -1\nunit = 'pJ'\nper='x'\nbits=8\nsource='x'\nconfidence = 'derived'", "mac.value"),
    ],
)
def test_a_bad_table_is_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(ChipError) as caught:
        parse_table(text, "mine")
    assert message in str(caught.value)


def test_unknown_tables_and_memories_are_refused() -> None:
    with pytest.raises(ChipError, match=r"'3nm' is neither a file nor a shipped table \(16nm, 28nm, 45nm, 65nm, 7nm\)"):
        energy_of(changed("", "energy", "3nm"), counts(), 0)
    with pytest.raises(ChipError, match=r"dram.kind='core memory' has no entry .* known: DDR3, DDR4"):
        energy_of(changed("dram", "kind", "core memory"), counts(), 0)
