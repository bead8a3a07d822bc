"""Whether every integer agrees: quantized models that ONNX Runtime's own quantizer writes, judged by ONNX Runtime.

Each network's float model is quantized by `quantize_static` (per channel, uint8 or int8 activations) as QOperators,
after ONNX Runtime's own preparation (which folds batch normalizations) or without it (`--raw`), and as QDQ pairs. The
QOperator model is imported; every integer layer is fed ONNX Runtime's own inputs and compared with its outputs; then
the compiled program runs on the machine, and every tensor it leaves in DRAM is compared with the reference. The QDQ
model must compile to the same program. Each case runs in a process of its own.

Run: python -m benchmarks.agreement [NETWORK ...] [--tiny] [--raw] [--update-docs]
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[1] / "docs" / "agreement.md"
ACTIVATIONS = ("uint8", "int8")


def main() -> None:
    """Measure every case and print, or write, the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", help="zoo networks; all by default")
    parser.add_argument("--tiny", action="store_true", help="the reduced networks")
    parser.add_argument("--raw", action="store_true", help="without ONNX Runtime's preparation")
    parser.add_argument("--update-docs", action="store_true", help="write docs/agreement.md")
    parser.add_argument("--case", nargs=2, metavar=("NETWORK", "ACTIVATIONS"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case:
        print(json.dumps(measure(*given.case, tiny=given.tiny, raw=given.raw)))
        return
    rows = [
        case(name, activations, given.tiny, given.raw)
        for name in given.networks or networks()
        for activations in ACTIVATIONS
    ]
    if given.update_docs:
        PAGE.write_text(page(rows), encoding="utf-8")


def networks() -> list[str]:
    """Return the zoo's names."""
    from accelc import models

    return list(models.catalog())


def case(name: str, activations: str, tiny: bool, raw: bool) -> dict[str, Any]:
    """Measure one case in a process of its own, so that memory is returned between them."""
    flags = [flag for flag, on in (("--tiny", tiny), ("--raw", raw)) if on]
    command = [sys.executable, "-m", "benchmarks.agreement", "--case", name, activations, *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} {activations}: {done.stderr.strip().splitlines()[-1]}")
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(" ".join(f"{key}={value}" for key, value in row.items()), file=sys.stderr, flush=True)
    return row


def measure(name: str, activations: str, *, tiny: bool, raw: bool) -> dict[str, Any]:
    """Return one case's counts."""
    from accelc import models
    from accelc.compiler import compile_stages
    from accelc.reference import ort
    from accelc.run import run_compiled

    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "float.onnx"
        shape = save(models.build(name, tiny=tiny), source, raw)
        twins = [quantized(source, shape, activations, operators) for operators in (True, False)]
        compiled = compile_stages(twins[0])
        paired = compile_stages(twins[1]).finished
    run = run_compiled(compiled)
    graph = compiled.quantized
    assert graph is not None
    ledger = ort.compare(twins[0], graph, random_integers(graph))
    assert run.check is not None
    return {
        "network": name,
        "activations": activations,
        "layers": len(ledger.layers),
        "integers": sum(row.elements for row in ledger.layers),
        "differ": sum(row.mismatches for row in ledger.layers),
        "causes": sorted({f"{row.op}: {row.cause}" for row in ledger.layers if row.mismatches}),
        "stored": run.check.elements,
        "stored_differ": run.check.mismatches,
        "qdq": twin(paired, compiled.finished),
        "seconds": round(time.monotonic() - start, 1),
    }


def save(model: Any, path: Path, raw: bool) -> list[int]:
    """Write the float model, prepared by ONNX Runtime unless raw; return its input's shape."""
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process

    onnx.save(model, path)
    if not raw:
        quant_pre_process(path, path, skip_symbolic_shape=True)
    return [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]


def quantized(source: Path, shape: Sequence[int], activations: str, operators: bool) -> Any:
    """Return the model that ONNX Runtime's quantizer writes, calibrated on two seeded random inputs."""
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    target = source.with_name("quantized.onnx")
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantize_static(
            source,
            target,
            Samples(onnx.load(source).graph.input[0].name, shape),
            quant_format=QuantFormat.QOperator if operators else QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8 if activations == "uint8" else QuantType.QInt8,
            weight_type=QuantType.QInt8,
        )
    logging.disable(logging.NOTSET)
    return onnx.load(target)


class Samples:
    """Two seeded standard-normal inputs, in the form that ONNX Runtime's quantizer reads."""

    def __init__(self, name: str, shape: Sequence[int]) -> None:
        import numpy as np

        self._rest = iter([{name: np.random.default_rng(k).standard_normal(shape, np.float32)} for k in range(2)])

    def get_next(self) -> dict[str, Any] | None:
        """Return the next input, None after the last."""
        return next(self._rest, None)


def random_integers(graph: Any) -> dict[str, Any]:
    """Return seeded inputs of a graph as the integers it reads."""
    import numpy as np

    from accelc.arithmetic import quantize_array

    tensors = [graph.tensors[name] for name in graph.inputs]
    draws = (np.random.default_rng(7).standard_normal(tensor.shape, np.float32) for tensor in tensors)
    return {t.name: quantize_array(real, t.quant, t.dtype) for t, real in zip(tensors, draws, strict=True)}


def twin(left: Any, right: Any) -> str:
    """Return how two programs agree; ONNX Runtime's quantizer itself gives a softmax another scale in the two forms."""
    import numpy as np

    from accelc.isa import by_name

    if left.words.shape != right.words.shape or not np.array_equal(left.constants, right.constants):
        return "differs"
    differing = left.words[(left.words != right.words).any(axis=1)]
    if not len(differing):
        return "same"
    softmax = by_name("softmax").opcode
    return "same but softmax scale" if ((differing[:, 0] & np.uint64(0xFF)) == softmax).all() else "differs"


def page(rows: Sequence[dict[str, Any]]) -> str:
    """Return the table as the documentation's page."""
    head = [
        "network",
        "activations",
        "layers",
        "integers",
        "differ",
        "stored integers",
        "differ",
        "QDQ twin",
        "seconds",
    ]
    lines = ["# Agreement with ONNX Runtime", "", " ".join((__doc__ or "").split("\n\nRun:")[0].split()), ""]
    lines += [
        "`differ` counts integers that are not equal: first of all integer layers against ONNX Runtime, then of all",
        "tensors the machine (chip `edge`) stores against the reference. `QDQ twin` says whether the QDQ model",
        "compiles to the same instructions and constants; ONNX Runtime's quantizer itself gives a softmax the scale",
        "1/256 in one form and 1/255 in the other, and a scale of its own to a Pad (the `resnet_cifar` shortcuts) in",
        "the QOperator form only. Regenerate with `python -m benchmarks.agreement --update-docs`.",
        "",
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
    ]
    return "\n".join([*lines, *(f"| {' | '.join(cells(row))} |" for row in rows), "", *notes(rows)])


def cells(row: dict[str, Any]) -> list[str]:
    """Return one row's cells."""
    counts = [f"{row[key]:,}" for key in ("layers", "integers", "differ", "stored", "stored_differ")]
    return [row["network"], row["activations"], *counts, row["qdq"], str(row["seconds"])]


def notes(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return the causes of what differs."""
    return [f"- {row['network']}, {row['activations']}: {'; '.join(row['causes'])}" for row in rows if row["causes"]]


if __name__ == "__main__":
    main()
