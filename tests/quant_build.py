"""Quantized twins of a float model, written by ONNX Runtime's static quantizer, and networks to quantize."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

from accelc.frontend import import_onnx
from tests.onnx_build import Array, model, node


def const(seed: int, *shape: int) -> Array:
    return (np.random.default_rng(seed).normal(size=shape) * 0.3).astype(np.float32)


class _Samples(CalibrationDataReader):
    def __init__(self, built: onnx.ModelProto) -> None:
        graph = import_onnx(built)
        rng = np.random.default_rng(5)
        self._rest: Iterator[dict[str, Array]] = iter(
            [{n: rng.normal(size=graph.tensors[n].shape).astype(np.float32) for n in graph.inputs} for _ in range(4)]
        )

    def get_next(self) -> dict[str, Array] | None:
        return next(self._rest, None)


def quantized(
    built: onnx.ModelProto, folder: Path, operators: bool, activations: str = "uint8", per_channel: bool = True
) -> onnx.ModelProto:
    """Return the model statically quantized: as QOperators or as QDQ pairs."""
    source, target = folder / "float.onnx", folder / f"{'qop' if operators else 'qdq'}.onnx"
    onnx.save(built, source)
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantize_static(
            source,
            target,
            _Samples(built),
            quant_format=QuantFormat.QOperator if operators else QuantFormat.QDQ,
            per_channel=per_channel,
            activation_type=QuantType.QUInt8 if activations == "uint8" else QuantType.QInt8,
            weight_type=QuantType.QInt8,
        )
    logging.disable(logging.NOTSET)
    return onnx.load(target)


def dynamic(built: onnx.ModelProto, folder: Path, **options: Any) -> onnx.ModelProto:
    """Return the model dynamically quantized (ConvInteger, MatMulInteger)."""
    onnx.save(built, folder / "float.onnx")
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantize_dynamic(folder / "float.onnx", folder / "dynamic.onnx", **options)
    logging.disable(logging.NOTSET)
    return onnx.load(folder / "dynamic.onnx")


def residual() -> onnx.ModelProto:
    """Return conv, relu, pool, a residual sum, global pool, flatten, gemm."""
    nodes = [
        node("Conv", "x w0 b0", "c0", pads=[1] * 4, strides=[2, 2]),
        node("Relu", "c0", "r0"),
        node("MaxPool", "r0", "p0", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4),
        node("Conv", "p0 w1 b1", "c1", pads=[1] * 4),
        node("Relu", "c1", "r1"),
        node("Conv", "r1 w2", "c2", pads=[1] * 4),
        node("Add", "c2 p0", "s"),
        node("Relu", "s", "t"),
        node("GlobalAveragePool", "t", "g"),
        node("Flatten", "g", "f"),
        node("Gemm", "f w3 b3", "y", transB=1),
    ]
    weights = {"w0": (8, 3, 3, 3), "b0": (8,), "w1": (8, 8, 3, 3), "b1": (8,), "w2": (8, 8, 3, 3), "w3": (5, 8)}
    weights["b3"] = (5,)
    constants = {n: const(i, *s) for i, (n, s) in enumerate(weights.items())}
    return model(nodes, {"x": (1, 3, 16, 16)}, constants=constants)


def branched() -> onnx.ModelProto:
    """Return depthwise and pointwise convs, concat, sigmoid gate, reshapes, matmul, softmax."""
    nodes = [
        node("Conv", "x w0 b0", "c0", pads=[1] * 4, group=4),
        node("Clip", "c0 zero six", "r0"),
        node("Conv", "x w1", "c1"),
        node("Sigmoid", "c1", "s1"),
        node("Mul", "c1 s1", "m1"),
        node("Concat", "r0 m1", "cat", axis=1),
        node("LeakyRelu", "cat", "l", alpha=0.1),
        node("Transpose", "l", "t", perm=[0, 2, 3, 1]),
        node("Reshape", "t shape", "f"),
        node("MatMul", "f w2", "mm"),
        node("Softmax", "mm", "y", axis=-1),
    ]
    constants = {"w0": const(1, 4, 1, 3, 3), "b0": const(2, 4), "w1": const(3, 6, 4, 1, 1), "w2": const(4, 360, 7)}
    more = {"zero": np.float32(0), "six": np.float32(6), "shape": np.array([1, -1], np.int64)}
    return model(nodes, {"x": (1, 4, 6, 6)}, constants=constants | more)
