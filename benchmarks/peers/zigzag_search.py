"""Run ZigZag on an ONNX file: in come accelerator and mapping, out go loops, latency and energy of each layer."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Return what ZigZag finds for each layer, the seconds of the call, and wall and CPU seconds of its search."""
    import onnx
    from zigzag.api import get_hardware_performance_zigzag

    model = onnx.load(request["model"])
    set_sum_bits(model, request["sum_bits"])
    began = note_search()
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder, f"{name}.yaml") for name in ("accelerator", "mapping")}
        for name, path in files.items():
            path.write_text(json.dumps(request[name]))  # JSON is YAML
        start = time.perf_counter()
        _, _, cmes = get_hardware_performance_zigzag(
            model,
            **{name: str(path) for name, path in files.items()},
            opt=request["objective"],
            dump_folder=str(Path(folder, "out")),
            lpf_limit=request["lpf_limit"],
            loma_show_progress_bar=False,
        )
        end, cpu = time.perf_counter(), time.process_time()
    layers = [layer_of(cme) for cme in evaluations(cmes)]
    return {"layers": layers, "seconds": end - start, "wall": end - began[0][0], "cpu": cpu - began[0][1]}


def set_sum_bits(model: Any, bits: int) -> None:
    """Give every layer's partial sums their width."""
    import onnx
    from zigzag.parser.onnx.onnx_operator_parser import ONNXOperatorParser

    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm", "MatMul"):
            node.attribute.append(onnx.helper.make_attribute(ONNXOperatorParser.CUSTOM_OUTPUT_SIZE_ATTR, bits))


def note_search() -> list[tuple[float, float]]:
    """Have ZigZag note when, model and accelerator parsed, it turns to the layers."""
    from zigzag.stages.workload_iterator import WorkloadStage

    began: list[tuple[float, float]] = []
    original = WorkloadStage.run

    def wrapped(self: Any) -> Any:
        began.append((time.perf_counter(), time.process_time()))
        return original(self)

    WorkloadStage.run = wrapped
    return began


def evaluations(cmes: Any) -> list[Any]:
    """Return the evaluations of single layers out of the nested answer."""
    found = []
    for cme, extra in cmes:
        if hasattr(cme, "layer"):
            found.append(cme)
        elif isinstance(extra, list):
            found += evaluations(extra)
    return found


def layer_of(cme: Any) -> dict[str, Any]:
    """Return one layer's figures; loops go from the inside out, a list for each memory level."""
    loops = {
        str(operand): [[[str(dim), float(size)] for dim, size in level] for level in levels]
        for operand, levels in cme.temporal_mapping.mapping_dic_origin.items()
    }
    energy = {str(op): [float(x) for x in levels] for op, levels in cme.mem_energy_breakdown.items()}
    parts = ("ideal_cycle", "ideal_temporal_cycle", "latency_total0", "data_onloading_cycle", "data_offloading_cycle")
    return {
        "name": cme.layer.name,
        "sizes": {str(dim): int(size) for dim, size in cme.layer.layer_dim_sizes.items()},
        "spatial": str(cme.layer.spatial_mapping),
        "loops": loops,
        "cycles": float(cme.latency_total2),
        "drain": float(cme.systolic_drain_cycle),
        **{part: float(getattr(cme, part)) for part in parts},
        "energy": float(cme.energy_total),
        "mac_energy": float(cme.mac_energy),
        "memory_energy": energy,
    }


if __name__ == "__main__":
    request = json.load(sys.stdin)
    logging.disable(logging.WARNING)
    with contextlib.redirect_stdout(io.StringIO()):
        answer = run(request)
    print(json.dumps(answer))
