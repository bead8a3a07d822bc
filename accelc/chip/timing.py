"""The chip as the bare integers that the instructions' cycle clauses and the event model read."""

from __future__ import annotations

from typing import NamedTuple

ORGANIZATIONS = ("systolic", "adder_tree", "row_stationary", "neighbor")
"""How the PEs are joined; a Timing holds the index."""


class Timing(NamedTuple):
    """Sizes and latencies of a chip in its own clock cycles; see Chip for each one's meaning and source."""

    organization: int
    array_rows: int
    array_cols: int
    operand_bytes: int
    double_buffered_weights: int
    overlapped_tiles: int
    spans_taps: int
    last_index: int
    act_entries: int
    wgt_entries: int
    psum_entries: int
    act_bus: int
    wgt_bus: int
    psum_bus: int
    pipeline_stages: int
    vector_lanes: int
    vector_latency: int
    vector_function_cycles: int
    act_bytes: int
    act_banks: int
    act_ports: int
    wgt_bytes: int
    wgt_banks: int
    wgt_ports: int
    acc_bytes: int
    acc_banks: int
    acc_ports: int
    unified: int
    dma_bytes_per_cycle: int
    dma_issue_cycles: int
    dma_outstanding: int
    dram_banks: int
    dram_row_bytes: int
    dram_burst_bytes: int
    dram_burst_cycles: int
    dram_activate_cycles: int
    dram_precharge_cycles: int
    dram_access_cycles: int
    dram_refresh_interval_cycles: int
    dram_refresh_cycles: int
    cores: int
