"""The Chip: every parameter of a deep-learning processor, its unit and its rule; loaded from TOML and checked."""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
from collections.abc import Mapping
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from accelc.chip.timing import ORGANIZATIONS, Timing
from accelc.errors import ChipError

MOST = 1 << 31  # of a size, and of the cycles of one event: sums of a program's stay within 64 bits
Positive = Annotated[int, Field(ge=1, le=MOST)]
Latency = Annotated[int, Field(ge=0, le=1_000_000)]
Rate = Annotated[float, Field(ge=1000, allow_inf_nan=False)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Dataflow = Literal["ws", "os", "is", "nlr", "rs"]
Organization = Literal["systolic", "adder_tree", "row_stationary", "neighbor"]
OFFERS: dict[str, tuple[Dataflow, ...]] = {
    "systolic": ("ws", "os", "is"),
    "adder_tree": ("nlr",),
    "row_stationary": ("rs",),
    "neighbor": ("os",),
}
"""The dataflows that each organization can run."""


MOST_CORES = 16

REACH = {"act": 28, "wgt": 28, "unified": 28, "acc": 26}
"""Bits of a byte address in each buffer; acc is addressed by words of 4 bytes with 24 bits."""


class _Part(BaseModel):
    """A section of the chip file: unknown keys are errors, values are fixed once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)

    sources: dict[str, str] = Field(default_factory=dict, description="where each value comes from")


class Registers(_Part):
    """The register files of one PE, and the buses between the buffers and the PEs (row-stationary arrays)."""

    act_entries: Positive = Field(description="activations a PE holds")
    wgt_entries: Positive = Field(description="weights a PE holds")
    psum_entries: Positive = Field(description="partial sums a PE holds")
    act_bus_words: Positive = Field(description="activations a cycle from the buffer to the PEs")
    wgt_bus_words: Positive = Field(description="weights a cycle from the buffer to the PEs")
    psum_bus_words: Positive = Field(description="partial sums a cycle, each way")


class MacArray(_Part):
    """The MAC array."""

    organization: Organization = Field(description="how the PEs are joined")
    rows: Annotated[int, Field(ge=1, le=1024)] = Field(description="PEs along the input-channel side")
    cols: Annotated[int, Field(ge=1, le=1024)] = Field(description="PEs along the output-channel side")
    dataflows: Annotated[list[Dataflow], Field(min_length=1)] = Field(description="which operand may stay in the PEs")
    operand_bits: Literal[8, 16] = Field(description="bits of an activation and of a weight")
    accumulator_bits: Literal[32, 64] = Field(description="bits of a partial sum; it wraps")
    stored_psum_bits: Annotated[int, Field(ge=8, le=64)] | None = Field(
        default=None, description="bits of a partial sum in the acc buffer, where fewer than accumulator_bits"
    )
    double_buffered_weights: bool = Field(description="the next tile of the operand held loads while one computes")
    overlapped_tiles: bool = Field(default=True, description="the next tile enters while the one before leaves")
    spans_taps: bool = Field(default=False, description="one tile of the operand held may span kernel positions")
    last_index: bool = Field(default=False, description="a tile's cycles are the index of its last, one less than N")
    zero_gating: bool = Field(
        default=False, description="a zero activation skips the weight read and the multiply-accumulate"
    )
    pipeline_stages: Annotated[int, Field(ge=0, le=64)] = Field(default=0, description="stages of an adder tree")
    registers: Registers | None = Field(default=None, description="register files and buses of a row-stationary array")

    @model_validator(mode="after")
    def _consistent(self) -> MacArray:
        offered = OFFERS[self.organization]
        for dataflow in self.dataflows:
            if dataflow not in offered:
                raise ValueError(
                    f"dataflows: '{dataflow}' does not run on organization '{self.organization}' ({', '.join(offered)})"
                )
        if (self.registers is not None) != (self.organization == "row_stationary"):
            raise ValueError(f"registers belong to organization 'row_stationary', not to '{self.organization}' without")
        if self.stored_psum_bits is not None and self.stored_psum_bits > self.accumulator_bits:
            raise ValueError(
                f"stored_psum_bits={self.stored_psum_bits} must not exceed accumulator_bits={self.accumulator_bits}"
            )
        if self.accumulator_bits != 4 * self.operand_bits:
            raise ValueError(
                f"accumulator_bits={self.accumulator_bits} must be {4 * self.operand_bits} "
                f"for operand_bits={self.operand_bits}"
            )
        if self.organization == "systolic" and self.overlapped_tiles and not self.double_buffered_weights:
            raise ValueError("overlapped_tiles=true needs double_buffered_weights=true")
        return self


class Buffer(_Part):
    """An on-chip memory."""

    bytes: Positive = Field(description="capacity in bytes")
    banks: Annotated[int, Field(ge=1, le=60)] = Field(description="equal contiguous ranges with ports of their own")
    ports: Positive = Field(description="units that may use one bank at the same time")
    width_bytes: Annotated[int, Field(ge=8, le=MOST)] = Field(description="bytes of one access")
    local_banks: bool = Field(default=False, description="each bank sits with PEs of its own: a bank's size is priced")

    @model_validator(mode="after")
    def _banks_divide(self) -> Buffer:
        if self.bytes % (self.banks * 64):
            raise ValueError(f"bytes={self.bytes} must be a multiple of 64 times banks={self.banks}")
        return self


class Buffers(_Part):
    """The on-chip memories by the operand they hold; a unified scratchpad holds activations and weights."""

    act: Buffer | None = Field(default=None, description="activations (with wgt, without unified)")
    wgt: Buffer | None = Field(default=None, description="weights, biases, scales, tables")
    unified: Buffer | None = Field(default=None, description="one scratchpad for act and wgt")
    acc: Buffer = Field(description="partial sums, 32 bits each")

    @model_validator(mode="after")
    def _split_or_unified(self) -> Buffers:
        split = self.act is not None and self.wgt is not None
        if split == (self.unified is not None) or (self.act is None) != (self.wgt is None):
            raise ValueError("give either both act and wgt, or unified alone")
        for name, bits in REACH.items():
            buffer = getattr(self, name)
            if buffer is not None and buffer.bytes > 1 << bits:
                raise ValueError(f"{name}.bytes={buffer.bytes} exceeds the {1 << bits} that its addresses reach")
        return self


class VectorUnit(_Part):
    """The vector unit."""

    lanes: Annotated[int, Field(ge=1, le=1024)] = Field(description="elements a cycle")
    latency_cycles: Latency = Field(description="cycles from the last element in to the last out")
    function_cycles: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        description="cycles that one exponential, logarithm or division takes a lane"
    )


class Dma(_Part):
    """The DMA engines: one for loads, one for stores."""

    bytes_per_cycle: Positive = Field(description="width of the on-chip path")
    issue_cycles: Latency = Field(description="cycles from issue to the first burst request")
    outstanding: Annotated[int, Field(ge=1, le=4096)] = Field(description="burst requests in flight per engine")
    compression: Literal["none", "rlc"] = Field(
        default="none", description="code of feature maps in DRAM: rlc, runs of zeros and levels as Eyeriss has them"
    )


class Dram(_Part):
    """The external memory; latencies in nanoseconds are rounded up to clock cycles."""

    kind: str = Field(description="name; the energy table is looked up by it")
    banks: Annotated[int, Field(ge=1, le=256)] = Field(description="banks over all channels")
    row_bytes: Positive = Field(description="bytes of an open row")
    burst_bytes: Positive = Field(description="bytes of one burst")
    burst_ns: PositiveFloat = Field(description="time the data bus is held by a burst")
    activate_ns: PositiveFloat = Field(description="tRCD, row activate to column command")
    precharge_ns: PositiveFloat = Field(description="tRP, precharge to activate")
    access_ns: PositiveFloat = Field(description="tCL, column command to first data")
    refresh_interval_ns: PositiveFloat = Field(description="tREFI, between refreshes")
    refresh_ns: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(description="tRFC, holds all banks")

    @model_validator(mode="after")
    def _powers_of_two(self) -> Dram:
        for name in ("banks", "row_bytes", "burst_bytes"):
            value = getattr(self, name)
            if value & (value - 1):
                raise ValueError(f"{name}={value} must be a power of two")
        if self.row_bytes < self.burst_bytes:
            raise ValueError(f"row_bytes={self.row_bytes} must be at least burst_bytes={self.burst_bytes}")
        if self.refresh_ns >= self.refresh_interval_ns:
            interval = self.refresh_interval_ns
            raise ValueError(f"refresh_ns={self.refresh_ns} must be below refresh_interval_ns={interval}")
        return self


class Host(_Part):
    """The processor that runs what the chip cannot, priced by two rates."""

    bytes_per_second: Rate = Field(description="rate of moving and converting tensors")
    flops_per_second: Rate = Field(description="rate of floating-point operations")
    power_w: PositiveFloat = Field(description="power while busy")


class Chip(_Part):
    """A deep-learning processor."""

    name: str = Field(description="the chip's name")
    description: str = Field(description="one line")
    technology_nm: PositiveFloat = Field(description="process node")
    voltage_v: PositiveFloat = Field(description="supply")
    clock_mhz: PositiveFloat = Field(description="clock of every on-chip unit")
    clock_power_w: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        default=0.0, description="power of the clock network and of idling, on top of the energy table"
    )
    requantization: Literal["float32", "fixed"] = Field(description="float32 product, or 31-bit multiplier and shift")
    energy: str = Field(description="name of the energy table")
    cores: Annotated[int, Field(ge=1, le=MOST_CORES)] = Field(
        default=1, description="arrays, each with buffers, a vector unit and DMA engines of its own, on one DRAM"
    )
    array: MacArray
    buffers: Buffers
    vector: VectorUnit
    dma: Dma
    dram: Dram
    host: Host

    @model_validator(mode="after")
    def _countable(self) -> Chip:
        for name in ("burst", "activate", "precharge", "access", "refresh_interval", "refresh"):
            taken = getattr(self.dram, f"{name}_ns")
            if not taken * self.clock_mhz / 1000 <= MOST:
                cycles = f"{taken * self.clock_mhz / 1000:g} cycles at clock_mhz={self.clock_mhz}"
                raise ValueError(f"dram.{name}_ns={taken} is {cycles}; at most {MOST} would work")
        return self

    @model_serializer(mode="wrap")
    def _as_written(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave `cores = 1` out: a chip of one core has the description and fingerprint it always had."""
        values: dict[str, Any] = written(self)
        return values if self.cores > 1 else {key: value for key, value in values.items() if key != "cores"}

    @property
    def acc_words(self) -> int:
        """Return the 32-bit words that the acc buffer's partial sums take, whatever it stores them in."""
        stored = self.array.stored_psum_bits or self.array.accumulator_bits
        return self.buffers.acc.bytes * 8 // stored * (self.array.accumulator_bits // 32)

    @property
    def peak_macs_per_cycle(self) -> int:
        """Return the multiply-accumulates of one cycle with every PE of every core busy."""
        return self.array.rows * self.array.cols * self.cores

    @property
    def dram_bytes_per_cycle(self) -> float:
        """Return the data bus's peak rate."""
        return self.dram.burst_bytes / self.timing.dram_burst_cycles

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Chip:
        """Return a copy with some values changed; what follows from them is worked out anew."""
        made = super().model_copy(update=update, deep=deep)
        for name in ("fingerprint", "timing"):
            made.__dict__.pop(name, None)
        return made

    @cached_property
    def fingerprint(self) -> str:
        """Return 16 hex digits that change with any parameter a program or its timing depends on."""
        text = json.dumps(_without_prose(self.model_dump()), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @cached_property
    def timing(self) -> Timing:
        """Return the parameters as integers in clock cycles."""
        buffers, dram, array = self.buffers, self.dram, self.array
        act, wgt = (buffers.act or buffers.unified), (buffers.wgt or buffers.unified)
        assert act is not None
        assert wgt is not None
        return Timing(
            organization=ORGANIZATIONS.index(array.organization),
            array_rows=array.rows,
            array_cols=array.cols,
            operand_bytes=array.operand_bits // 8,
            double_buffered_weights=int(array.double_buffered_weights),
            overlapped_tiles=int(array.overlapped_tiles),
            spans_taps=int(array.spans_taps),
            last_index=int(array.last_index),
            pipeline_stages=array.pipeline_stages,
            **_register_words(array.registers),
            vector_lanes=self.vector.lanes,
            vector_latency=self.vector.latency_cycles,
            vector_function_cycles=self.vector.function_cycles,
            act_bytes=act.bytes,
            act_banks=act.banks,
            act_ports=act.ports,
            wgt_bytes=wgt.bytes,
            wgt_banks=wgt.banks,
            wgt_ports=wgt.ports,
            acc_bytes=self.acc_words * 4,
            acc_banks=buffers.acc.banks,
            acc_ports=buffers.acc.ports,
            unified=int(buffers.unified is not None),
            dma_bytes_per_cycle=self.dma.bytes_per_cycle,
            dma_issue_cycles=self.dma.issue_cycles,
            dma_outstanding=self.dma.outstanding,
            dram_banks=dram.banks,
            dram_row_bytes=dram.row_bytes,
            dram_burst_bytes=dram.burst_bytes,
            dram_burst_cycles=self._cycles(dram.burst_ns),
            dram_activate_cycles=self._cycles(dram.activate_ns),
            dram_precharge_cycles=self._cycles(dram.precharge_ns),
            dram_access_cycles=self._cycles(dram.access_ns),
            dram_refresh_interval_cycles=self._cycles(dram.refresh_interval_ns),
            dram_refresh_cycles=self._cycles(dram.refresh_ns),
            cores=self.cores,
        )

    def _cycles(self, nanoseconds: float) -> int:
        return math.ceil(nanoseconds * self.clock_mhz / 1000 - 1e-9)


def _register_words(registers: Registers | None) -> dict[str, int]:
    """Return the register files' and buses' words, 1 each where the array has none."""
    r = registers
    return {
        "act_entries": r.act_entries if r else 1,
        "wgt_entries": r.wgt_entries if r else 1,
        "psum_entries": r.psum_entries if r else 1,
        "act_bus": r.act_bus_words if r else 1,
        "wgt_bus": r.wgt_bus_words if r else 1,
        "psum_bus": r.psum_bus_words if r else 1,
    }


def _without_prose(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_prose(v) for k, v in value.items() if k not in ("sources", "description")}
    return value


def shipped() -> tuple[str, ...]:
    """Return the names of the chips that come with accelc."""
    files = resources.files("accelc.chip").iterdir()
    return tuple(sorted(f.name.removesuffix(".toml") for f in files if f.name.endswith(".toml")))


def load_chip(chip: str | Path | Chip) -> Chip:
    """Return a chip by shipped name or path to a TOML file; raise ChipError naming the value and the rule."""
    if isinstance(chip, Chip):
        return chip
    path = Path(chip)
    if str(chip) in shipped():
        text = (resources.files("accelc.chip") / f"{chip}.toml").read_text(encoding="utf-8")
    elif path.is_file():
        text = _read(path)
    else:
        raise ChipError(f"chip '{chip}' is neither a file nor a shipped chip ({', '.join(shipped())})")
    return parse_chip(text, str(chip))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ChipError(f"chip '{path}' cannot be read: {error}") from None


def parse_chip(text: str, origin: str) -> Chip:
    """Return the chip that TOML text describes; `origin` names it in messages.

    A chip may name a shipped one as its `base`: it then says only what differs.
    """
    try:
        return Chip.model_validate(_with_base(tomllib.loads(text), origin))
    except tomllib.TOMLDecodeError as error:
        raise ChipError(f"chip '{origin}' is not TOML: {error}") from None
    except ValidationError as error:
        raise ChipError(f"chip '{origin}': {explain(error)}") from None


def _with_base(values: dict[str, Any], origin: str) -> dict[str, Any]:
    """Return a chip's values over those of its base, if it names one."""
    base = values.pop("base", None)
    if base is None:
        return values
    if base not in shipped():
        raise ChipError(f"chip '{origin}': base={base!r} is no shipped chip ({', '.join(shipped())})")
    text = (resources.files("accelc.chip") / f"{base}.toml").read_text(encoding="utf-8")
    return _merged(_with_base(tomllib.loads(text), base), values)


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Return two tables as one, part by part; where both have a value, the second's."""
    both = {key: _merged(below[key], above[key]) for key in below.keys() & above.keys() if _tables(below, above, key)}
    return below | above | both


def _tables(below: dict[str, Any], above: dict[str, Any], key: str) -> bool:
    return isinstance(below[key], dict) and isinstance(above[key], dict)


def explain(error: ValidationError) -> str:
    """Return what is wrong with a chip in one line: the parameter, its value and the rule."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"]) or "chip"
    if first["type"] == "extra_forbidden":
        return f"unknown key '{key}'"
    if first["type"] == "missing":
        return f"missing key '{key}'"
    message = first["msg"].removeprefix("Value error, ")
    shown = "" if isinstance(first.get("input"), dict) else f"={first.get('input')!r}"
    return f"{key}{shown}: {message[0].lower()}{message[1:]}"
