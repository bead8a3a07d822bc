"""Run SCALE-Sim on a topology: in come "config" and "topology", out go cycles and seconds of each layer and of all."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any


def run(config: str, topology: str) -> dict[str, Any]:
    """Return SCALE-Sim's report of each layer, in the topology's order."""
    from scalesim.scale_sim import scalesim

    with tempfile.TemporaryDirectory() as folder:
        files = {"config": Path(folder, "peer.cfg"), "topology": Path(folder, "topology.csv")}
        files["config"].write_text(config)
        files["topology"].write_text(topology)
        paths = {name: str(path) for name, path in files.items()}
        sim = scalesim(save_disk_space=True, verbose=False, layout=paths["topology"], input_type_gemm=False, **paths)
        layers = timed()
        start, cpu = time.perf_counter(), time.process_time()
        sim.run_scale(top_path=folder)
        total = [time.perf_counter() - start, time.process_time() - cpu]
        report = next(Path(folder).glob("*/COMPUTE_REPORT.csv")).read_text().splitlines()
    head, *rows = [[cell.strip() for cell in line.split(",")] for line in report]
    cycles, stalls = head.index("Total Cycles"), head.index("Stall Cycles")
    found = [
        {"cycles": int(float(row[cycles])), "stalls": int(float(row[stalls])), "seconds": s}
        for row, s in zip(rows, layers, strict=True)
    ]
    return {"layers": found, "seconds": total}


def timed() -> list[list[float]]:
    """Have SCALE-Sim's layers note their wall and processor seconds, and return the list they note them in."""
    from scalesim.single_layer_sim import single_layer_sim

    taken: list[list[float]] = []
    original = single_layer_sim.run

    def wrapped(self: Any) -> None:
        start, cpu = time.perf_counter(), time.process_time()
        original(self)
        taken.append([time.perf_counter() - start, time.process_time() - cpu])
        print(len(taken), f"{taken[-1][0]:.1f} s", file=sys.stderr, flush=True)

    single_layer_sim.run = wrapped
    return taken


if __name__ == "__main__":
    request = json.load(sys.stdin)
    warnings.simplefilter("ignore")
    with contextlib.redirect_stdout(io.StringIO()):
        answer = run(request["config"], request["topology"])
    print(json.dumps(answer))
