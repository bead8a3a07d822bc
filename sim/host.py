"""The host processor's work: operators outside the chip, on tensors in DRAM (see `isa.hostops`)."""

from __future__ import annotations

import numpy as np

from accelc.errors import MachineError
from accelc.isa.hostops import run_node
from accelc.program import HostCall
from accelc.sim.ports import Bytes, integers_of, read_values, write_port


def run_host(dram: Bytes, call: HostCall) -> None:
    """Run one host operator: its inputs are dequantized from DRAM, its outputs quantized back."""
    # Imported here: few programs hand work to the host, and onnx takes longer to import than most take to run.
    from onnx import load_from_string

    operands = [read_values(dram, port) for port in call.inputs]
    try:
        results = run_node(load_from_string(call.model), operands, [port.shape for port in call.outputs])
    except (ValueError, TypeError, IndexError, RuntimeError, NotImplementedError) as error:
        raise MachineError(f"host operator '{call.name}' ({call.op_type}) failed: {error}") from error
    for port, result in zip(call.outputs, results, strict=True):
        write_port(dram, port, integers_of(port, np.asarray(result, port.dtype)))
