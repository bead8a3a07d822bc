"""Predicted against executed cycles, of networks and of their stages, on every shipped chip: into docs/prediction.md.

`python -m benchmarks.prediction [NETWORK ...] [--chips A,B] [--tiny] [--page] [--output docs/prediction.md]`. A line
that exists for a network and chip is replaced, the others stay, so that it may be run in pieces; `--page` only writes
the page. `mobilenet_v1` is built here: the zoo has no network of depthwise convolutions.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelc.chip import load_chip, shipped
from accelc.files import atomic_write

if TYPE_CHECKING:
    import onnx

    from accelc.compiler import Compiled
    from accelc.report.result import LayerResult

DOCS = Path(__file__).parents[1] / "docs"
RESULTS = Path(__file__).parent / "prediction.json"
NETWORKS = ("alexnet", "vgg16", "resnet18", "resnet50", "googlenet", "mobilenet_v1")
LEAST_CYCLES = 1000  # of a stage in the plain mean; a shorter one is latency

# Howard et al., "MobileNets", arXiv 1704.04861, table 1: output channels and stride of each depthwise separable layer.
BLOCKS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1),
)  # fmt: skip


def main() -> None:
    """Run what is asked for and write the page."""
    options = _arguments()
    rows = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for network in () if options.page else options.networks or NETWORKS:
        for row in measure(network, options.chips.split(","), tiny=options.tiny):
            print(json.dumps(row), file=sys.stderr, flush=True)
            rows[f"{row['network']} {row['chip']}"] = row
        if not options.tiny:
            atomic_write(RESULTS, (json.dumps(rows, indent=1) + "\n").encode())
    atomic_write(options.output, page(list(rows.values())).encode())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", help=f"networks; {', '.join(NETWORKS)} by default")
    parser.add_argument("--chips", default=",".join(shipped()), help="chips, separated by commas; all by default")
    parser.add_argument("--tiny", action="store_true", help="the reduced networks, which are not kept")
    parser.add_argument("--page", action="store_true", help="write the page from what is known")
    parser.add_argument("--output", type=Path, default=DOCS / "prediction.md")
    return parser.parse_args()


def measure(network: str, chips: Iterable[str], *, tiny: bool = False) -> Iterator[dict[str, Any]]:
    """Yield a line for each chip; the front half of the compiler runs once for each width of operands."""
    from accelc.compiler import Options, compile_stages, retarget

    model: str | onnx.ModelProto = mobilenet_v1(tiny=tiny) if network == "mobilenet_v1" else network
    fronts: dict[int, Compiled] = {}
    for name in chips:
        chip = load_chip(name)
        bits = chip.array.operand_bits
        if bits not in fronts:
            fronts[bits] = compile_stages(model, chip, Options(tiny=tiny), stop_after="quantize")
        done = retarget(fronts[bits], chip, dataflow="auto", objective="latency")
        yield {"network": network, "chip": name, **figures(done)}


def figures(done: Compiled) -> dict[str, Any]:
    """Return the predicted and executed cycles of a compilation, the search's estimate, and how far stages are off."""
    from accelc.run import run_compiled

    assert done.schedule is not None
    result = run_compiled(done, values=False).result
    stages = [layer for layer in result.layers if layer.stage_cycles]
    costs = Counter[str]()
    for plan in done.schedule.plans:
        costs[plan.stage.layers[0].name] += plan.cost.cycles if plan.cost is not None else 0
    predicted = [(layer.predicted_cycles, layer.stage_cycles) for layer in stages]
    estimated = [(costs[layer.name], layer.stage_cycles) for layer in stages if layer.name in costs]
    return {
        "predicted": result.predicted_cycles,
        "executed": result.cycles,
        "stages": len(stages),
        "weighted": weighted(predicted),
        "mean": mean(predicted),
        "estimated": costs.total(),
        "estimated_weighted": weighted(estimated),
        "estimated_mean": mean(estimated),
        "missed_by": missed_by(stages),
    }


def weighted(pairs: Sequence[tuple[int, int]]) -> float:
    """Return the sum of stages' absolute differences over the sum of what they took."""
    return sum(abs(ours - real) for ours, real in pairs) / max(sum(real for _, real in pairs), 1)


def mean(pairs: Sequence[tuple[int, int]]) -> float:
    """Return the mean of stages' relative absolute differences, of those that took LEAST_CYCLES or more."""
    found = [abs(ours / real - 1) for ours, real in pairs if real >= LEAST_CYCLES]
    return sum(found) / max(len(found), 1)


def missed_by(stages: Sequence[LayerResult]) -> str:
    """Return the cause by which stages are off most, in all."""
    gaps: dict[str, int] = {}
    for layer in stages:
        gap = abs(layer.predicted_cycles - layer.stage_cycles)
        gaps[layer.missed_by] = gaps.get(layer.missed_by, 0) + gap
    return max(gaps, key=lambda cause: gaps[cause]) if any(gaps.values()) else "exact"


def mobilenet_v1(*, tiny: bool = False) -> onnx.ModelProto:
    """Return MobileNet V1 of width 1 for 224 x 224 pixels; the tiny one has a sixteenth of the channels, 64 x 64."""
    from accelc.models.builder import Net

    net = Net("mobilenet_v1", seed=0, tiny=tiny)
    x = net.input("input", (3, net.size(224, 64), net.size(224, 64)))
    x = net.conv_relu(x, "conv1", net.width(32), 3, stride=2, pad=1)
    for k, (channels, stride) in enumerate(BLOCKS, start=1):
        inputs = net.channels(x)
        x = net.relu(net.conv(x, f"dw{k}", inputs, 3, stride=stride, pad=1, groups=inputs), f"dw{k}/relu")
        x = net.conv_relu(x, f"pw{k}", net.width(channels), 1)
    x = net.flatten(net.global_avg_pool(x, "pool"))
    net.output(net.softmax(net.fc(x, "fc", net.size(1000, 10)), "prob"))
    return net.model()


def page(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the page."""
    chips = [name for name in shipped() if any(row["chip"] == name for row in rows)]
    parts = [HEAD, *_summary(rows), *(line for chip in chips for line in _section(chip, rows))]
    return "\n".join(parts) + "\n"


HEAD = f"""# Prediction against execution

Written by `python -m benchmarks.prediction`. A schedule is priced twice before there is an instruction:

* the **estimate** of the search ([`cost.py`](../accelc/schedule/cost.py)) prices each stage by itself, from the
  instructions' cycle clauses and closed forms of the DRAM; thousands of mappings are ranked by it;
* the **prediction** ([`prediction.py`](../accelc/schedule/prediction.py)) replays the schedule that was chosen, tile by
  tile over all stages, on the simulator's engines, banks and DRAM. It has no instruction and no token, only what each
  tile moves and computes and which bytes it touches; of schedules of more than 20,000 pieces of work, a part stands for
  the rest.

**Executed** are the cycles of the program on the simulator. "Of a stage" are absolute differences of stages (layers
that share their tiles) from what they took: weighted by that, and as a plain mean over the stages of
{LEAST_CYCLES:,} cycles or more. "Most by" is the cause by which stages are off most.
"""


def _summary(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    count = sum(row["stages"] for row in rows if row["chip"] == "edge")
    edge = [row for row in rows if row["chip"] == "edge"]
    if edge:
        every = sum(row["mean"] * row["stages"] for row in edge) / count
        whole = sum(row["weighted"] * row["executed"] for row in edge) / sum(row["executed"] for row in edge)
        yield f"On `edge`, over {count} stages of {len(edge)} networks, the prediction is off by {_share(every)} of a"
        yield f"stage on the mean and by {_share(whole)} of their cycles. {_exact(edge)} of the networks are predicted"
        yield "to within a cycle a stage."
    yield f"Of all {len(rows)} predictions on this page {_exact(rows)} are."
    worst = max(rows, key=lambda row: abs(row["predicted"] / row["executed"] - 1))
    off = worst["predicted"] / worst["executed"] - 1
    yield f"The worst end to end, of {len(rows)}, is `{worst['network']}` on `{worst['chip']}`: {off:+.1%}."


def _exact(rows: Sequence[Mapping[str, Any]]) -> int:
    """Return how many networks are predicted to within a cycle a stage: where cores take the mean, it is rounded."""
    return sum(abs(row["predicted"] - row["executed"]) <= row["stages"] for row in rows)


def _section(chip: str, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield ""
    yield f"## {chip}"
    yield ""
    titles = ("network", "executed", "predicted", "/ executed", "of a stage, weighted", "mean", "most by")
    yield f"| {' | '.join(titles)} | estimate / executed |"
    yield "|---|---:|---:|---:|---:|---:|---|---:|"
    for row in rows:
        if row["chip"] == chip:
            ratios = [f"{row[key] / row['executed']:.3f}" for key in ("predicted", "estimated")]
            cells = [f"`{row['network']}`", f"{row['executed']:,}", f"{row['predicted']:,}", ratios[0]]
            cells += [_share(row["weighted"]), _share(row["mean"]), row["missed_by"].replace("_", " "), ratios[1]]
            yield f"| {' | '.join(cells)} |"


def _share(value: float) -> str:
    return f"{100 * value:.2f} %"


if __name__ == "__main__":
    main()
