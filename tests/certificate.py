"""What a run must never be below: the lower bounds of its layers and of the whole."""

from __future__ import annotations

from accelc.report.result import Result

ROUNDING = 1 + 1e-9  # of sums in floating point


def check(result: Result) -> None:
    """Hold the cycles, DRAM bytes and energy of a run and of its layers to their bounds."""
    assert 0 < result.lower_bound_energy_j <= result.energy_j * ROUNDING
    assert 0 < result.lower_bound_cycles <= result.cycles
    assert 0 < result.lower_bound_dram_bytes <= result.dram_read_bytes + result.dram_write_bytes
    for layer in result.layers:
        assert layer.lower_bound_cycles <= layer.cycles, layer.name
        assert layer.lower_bound_dram_bytes <= layer.dram_bytes, layer.name
        assert layer.lower_bound_energy_j <= layer.energy_j * ROUNDING, layer.name
    assert sum(layer.lower_bound_dram_bytes for layer in result.layers) == result.lower_bound_dram_bytes
