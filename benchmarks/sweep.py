"""What a chip of a sweep costs: points of different chips one after another, beside the front half they share.

One process, CPU time. The front half is import, passes and quantization; a point is the schedule, the program and the
timing of one chip, none of which has been seen before: mappings kept on disk are not read.

Run: python -m benchmarks.sweep [NETWORK] [--chips N] [--tiny] [--json OUT.json]
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Sequence
from pathlib import Path


def points(network: str, count: int, tiny: bool) -> list[object]:
    """Return points whose chips differ in the array, the buffers and the bus."""
    from accelc.sweep.spec import Point

    draw = random.Random(0)
    return [
        Point(
            network,
            "edge",
            {
                "array.rows": draw.randrange(8, 257),
                "array.cols": draw.choice([16, 32, 64, 128]),
                "buffers.act.bytes": draw.choice([262144, 524288, 1048576]),
                "dma.bytes_per_cycle": draw.randrange(8, 129),
            },
            {"tiny": tiny},
        )
        for _ in range(count)
    ]


def measure(network: str, count: int, tiny: bool) -> dict[str, object]:
    """Return the CPU seconds of the front half and of each chip."""
    from accelc.chip import load_chip
    from accelc.compiler import Options, compile_stages
    from accelc.schedule import store
    from accelc.sweep.work import evaluate

    store.writable_folder = lambda *_: None  # mappings found before are not taken
    start = time.process_time()
    compile_stages(network, load_chip("edge"), Options(tiny=tiny), stop_after="quantize")
    front = time.process_time() - start
    taken = []
    evaluate(points(network, 1, tiny)[0])  # compiled kernels are loaded, the front half is made
    for point in points(network, count + 1, tiny)[1:]:
        start = time.process_time()
        evaluate(point)
        taken.append(time.process_time() - start)
    chip = {"chip_s": statistics.mean(taken), "most_s": max(taken)}
    return {"network": network, "chips": count, "front_s": front, **chip}


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("network", nargs="?", default="resnet18")
    parser.add_argument("--chips", type=int, default=20)
    parser.add_argument("--tiny", action="store_true", help="the reduced network")
    parser.add_argument("--json", type=Path, metavar="OUT.json")
    given = parser.parse_args(argv)
    found = measure(given.network, given.chips, given.tiny)
    print(f"{found['network']}: front half {found['front_s']:.2f} s, a chip {found['chip_s']:.2f} s "
          f"(mean of {found['chips']}, at most {found['most_s']:.2f} s)")  # fmt: skip
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
