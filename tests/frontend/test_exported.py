"""Files that torch's exporters and onnxruntime's quantizer wrote: they import, and compute what onnxruntime does."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import pytest

from accelc.compiler import Options, compile_stages
from accelc.errors import ModelError
from accelc.frontend import import_onnx
from accelc.run import Run, run_compiled

Array = npt.NDArray[Any]

FOLDER = Path(__file__).parent / "exported"
OPEN = 2  # the extent of every open dimension

REFUSED = {
    "noise.dynamo": ("'node_rand_like'", "operator RandomUniformLike"),
    "noise.torchscript": ("'/RandomUniformLike'", "operator RandomUniformLike"),
    "spectrum.dynamo": ("'node__fft_r2c'", "operator DFT"),
    "unique.dynamo": ("'node__unique2__0'", "operator Unique"),
    "unique.torchscript": ("'/Unique'", "operator Unique"),
    "volumetric.dynamo": ("'node_GridSample_0'", "an image of rank 5", "rank 4 would work"),
    "volumetric.torchscript": ("'/GridSample'", "an image of rank 5", "rank 4 would work"),
}

# Results of a size that depends on values have a fixed maximum: the true ones come first.
FILLED = ("bool_index", "nms")

# In a dynamically quantized file onnxruntime rounds activations to 8 bits; here they stay as they are.
ROUNDED = ".dynamic"

FILES = sorted(path.name.removesuffix(".onnx") for path in FOLDER.glob("*.onnx"))
RUNNING = [name for name in FILES if name not in REFUSED]

@cache
def model(name: str) -> onnx.ModelProto:
    return onnx.load(FOLDER / f"{name}.onnx")


def options(name: str, precision: str) -> Options:
    dims = [d.dim_param for i in model(name).graph.input for d in i.type.tensor_type.shape.dim if d.dim_param]
    return Options(dims=dict.fromkeys(dims, OPEN), precision=precision)


def arrays(name: str) -> dict[str, Array]:
    """Return normally distributed numbers, and integers of 0 to 2, for a model's inputs."""
    rng, made = np.random.default_rng(7), {}
    for value in model(name).graph.input:
        kind = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        shape = [d.dim_value or OPEN for d in value.type.tensor_type.shape.dim]
        drawn = rng.standard_normal(shape) if kind.kind == "f" else rng.integers(0, 3, shape)
        made[value.name] = drawn.astype(kind)
    return made


def expected(name: str) -> dict[str, Array]:
    chosen = ort.SessionOptions()
    chosen.log_severity_level = 4
    chosen.intra_op_num_threads = 1
    chosen.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model(name).SerializeToString(), chosen, providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, arrays(name)), strict=True))


def run(name: str, precision: str, check: str) -> Run:
    compiled = compile_stages(model(name), "edge", options(name, precision))
    return run_compiled(compiled, arrays(name), check=check)


def test_every_refusal_has_its_file() -> None:
    assert set(REFUSED) < set(FILES)


@pytest.mark.parametrize("name", RUNNING)
def test_float32_agrees_with_onnxruntime(name: str) -> None:
    """Floats within 1e-3 relative and 1e-4 absolute, integers exactly."""
    found = run(name, "float32", "none")
    for output, wanted in expected(name).items():
        ours = found.outputs[output]
        if name.startswith(FILLED):
            ours = ours[tuple(slice(0, n) for n in wanted.shape)]
        assert ours.shape == wanted.shape, output
        assert ours.dtype == wanted.dtype, output
        if wanted.dtype.kind != "f":
            np.testing.assert_array_equal(ours, wanted, err_msg=output)
            continue
        slack = 0.02 * float(np.abs(wanted).max()) if name.endswith(ROUNDED) else 1e-4
        np.testing.assert_allclose(ours, wanted, rtol=1e-3, atol=slack, err_msg=output)


@pytest.mark.parametrize("name", RUNNING)
def test_int8_is_the_references_bit_for_bit(name: str) -> None:
    found = run(name, "int8", "reference")
    assert found.check.elements > 0
    assert found.check.mismatches == 0


@pytest.mark.parametrize("name", ["attention_causal", "attention_fill", "attention_held", "sdpa", "sdpa_mask"])
@pytest.mark.parametrize("exporter", ["dynamo", "torchscript"])
def test_a_mask_leaves_8_bits_for_the_scores(name: str, exporter: str) -> None:
    """At least 20 dB between the int8 run's outputs and their error."""
    found = run(f"{name}.{exporter}", "int8", "none")
    for output, wanted in expected(f"{name}.{exporter}").items():
        error = found.outputs[output] - wanted
        assert float((wanted**2).sum()) > 100 * float((error**2).sum()), output


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_a_refusal_is_one_line_with_node_and_reason(name: str, precision: str) -> None:
    with pytest.raises(ModelError) as caught:
        import_onnx(model(name), precision=precision)
    message = str(caught.value)
    assert "\n" not in message
    for part in REFUSED[name]:
        assert part in message
