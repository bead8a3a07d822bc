"""`Net`: the layers architectures are written in, with weights of a scale that keeps activations in range.

A tensor carries the name of the node that makes it, a parameter the name of its layer: `conv2_1`, `conv2_1/weight`.
Layers that hang on another are named after it when no name is given: `conv2_1/bn`, `conv2_1/relu`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from accelc.models.graph import GraphBuilder
from accelc.models.weights import Normal, Uniform

Extent = int | tuple[int, int]
"""One number for both spatial axes, or (height, width)."""

Padding = int | tuple[int, int] | tuple[int, int, int, int]
"""One number for all edges, (height, width) for both ends of an axis, or (top, left, bottom, right)."""

_HE = math.sqrt(2)
"""He et al., ICCV 2015: a standard deviation of sqrt(2 / fan-in) keeps the variance through a layer and its ReLU."""


def pair(extent: Extent) -> list[int]:
    """Return an extent as [height, width]."""
    return [extent, extent] if isinstance(extent, int) else list(extent)


def edges(pad: Padding) -> list[int]:
    """Return a padding as [top, left, bottom, right]."""
    if isinstance(pad, int):
        return [pad] * 4
    return list(pad) * 2 if len(pad) == 2 else list(pad)


class Net(GraphBuilder):
    """A network under construction, at its published size or as its `tiny` variant."""

    def __init__(self, name: str, *, seed: int | None, tiny: bool = False, batch: int = 1) -> None:
        super().__init__(name, seed=seed, batch=batch)
        self.tiny = tiny

    def size(self, full: int, tiny: int) -> int:
        """Return the first number for the published network, the second for the tiny one."""
        return tiny if self.tiny else full

    def width(self, channels: int, divisor: int = 16) -> int:
        """Return a channel count, divided (to at least 1) in the tiny network."""
        return max(1, channels // divisor) if self.tiny else channels

    # Layers with weights

    def conv(
        self,
        x: str,
        name: str,
        channels: int,
        kernel: Extent,
        *,
        stride: Extent = 1,
        pad: Padding = 0,
        dilation: Extent = 1,
        groups: int = 1,
        bias: bool = True,
        gain: float = _HE,
    ) -> str:
        """Add a convolution; the kernel's shape is [channels, input channels / groups, height, width]."""
        shape = [channels, self.channels(x) // groups, *pair(kernel)]
        return self.op(
            "Conv",
            [x, *self._weight_and_bias(name, shape, math.prod(shape[1:]), channels, gain, bias)],
            name,
            kernel_shape=pair(kernel),
            strides=pair(stride),
            pads=edges(pad),
            dilations=pair(dilation),
            group=groups,
        )

    def conv_transpose(
        self,
        x: str,
        name: str,
        channels: int,
        kernel: Extent,
        *,
        stride: Extent = 1,
        pad: Padding = 0,
        output_pad: Extent = 0,
        groups: int = 1,
        bias: bool = True,
        gain: float = _HE,
    ) -> str:
        """Add a transposed convolution; the kernel's shape is [input channels, channels / groups, height, width]."""
        shape = [self.channels(x), channels // groups, *pair(kernel)]
        # an output element sees one kernel element in stride x stride
        fan_in = self.channels(x) // groups * math.prod(pair(kernel)) / math.prod(pair(stride))
        return self.op(
            "ConvTranspose",
            [x, *self._weight_and_bias(name, shape, fan_in, channels, gain, bias)],
            name,
            kernel_shape=pair(kernel),
            strides=pair(stride),
            pads=edges(pad),
            output_padding=pair(output_pad),
            group=groups,
        )

    def fc(self, x: str, name: str, features: int, *, bias: bool = True, gain: float = _HE) -> str:
        """Add a fully connected layer; the weights' shape is [features, input features], a map is flattened first."""
        if len(self.shape(x)) > 2:
            x = self.flatten(x)
        shape = [features, self.shape(x)[1]]
        return self.op(
            "Gemm", [x, *self._weight_and_bias(name, shape, shape[1], features, gain, bias)], name, transB=1
        )

    def _weight_and_bias(
        self, name: str, shape: Sequence[int], fan_in: float, channels: int, gain: float, bias: bool
    ) -> list[str]:
        weight = self.parameter(f"{name}/weight", shape, Normal(gain / math.sqrt(fan_in)))
        return [weight, self.parameter(f"{name}/bias", [channels], Normal(0.05))] if bias else [weight]

    def batch_norm(self, x: str, name: str | None = None, *, gamma: float = 1.0, epsilon: float = 1e-5) -> str:
        """Add an inference batch normalization whose scale is about `gamma`; its statistics are those of a unit normal.

        He-scaled convolutions of unit-scale maps give about zero mean and unit variance, so activations stay in range.
        """
        name, shape = name or self.derived(x, "bn"), [self.channels(x)]
        parameters = [
            self.parameter(f"{name}/gamma", shape, Uniform(0.9 * gamma, 1.1 * gamma)),
            self.parameter(f"{name}/beta", shape, Normal(0.1 * gamma)),
            self.parameter(f"{name}/mean", shape, Normal(0.1)),
            self.parameter(f"{name}/variance", shape, Uniform(0.8, 1.2)),
        ]
        return self.op("BatchNormalization", [x, *parameters], name, epsilon=epsilon)

    def conv_relu(
        self, x: str, name: str, channels: int, kernel: Extent, *, stride: Extent = 1, pad: Padding = 0, groups: int = 1
    ) -> str:
        """Add a convolution with bias and its ReLU."""
        return self.relu(self.conv(x, name, channels, kernel, stride=stride, pad=pad, groups=groups))

    def conv_bn(
        self,
        x: str,
        name: str,
        channels: int,
        kernel: Extent,
        *,
        stride: Extent = 1,
        pad: Padding = 0,
        groups: int = 1,
        gamma: float = 1.0,
    ) -> str:
        """Add a convolution without bias and its batch normalization."""
        y = self.conv(x, name, channels, kernel, stride=stride, pad=pad, groups=groups, bias=False)
        return self.batch_norm(y, gamma=gamma)

    def conv_bn_relu(
        self, x: str, name: str, channels: int, kernel: Extent, *, stride: Extent = 1, pad: Padding = 0, groups: int = 1
    ) -> str:
        """Add a convolution without bias, its batch normalization and its ReLU."""
        return self.relu(self.conv_bn(x, name, channels, kernel, stride=stride, pad=pad, groups=groups))

    # Pooling and normalization

    def max_pool(
        self, x: str, name: str, kernel: Extent, *, stride: Extent = 1, pad: Padding = 0, ceil: bool = False
    ) -> str:
        """Add a max pooling; `ceil` lets the last window reach over the edge."""
        return self.op(
            "MaxPool",
            [x],
            name,
            kernel_shape=pair(kernel),
            strides=pair(stride),
            pads=edges(pad),
            ceil_mode=int(ceil),
        )

    def avg_pool(
        self, x: str, name: str, kernel: Extent, *, stride: Extent = 1, pad: Padding = 0, count_pad: bool = False
    ) -> str:
        """Add an average pooling; padding counts as zeros only with `count_pad`."""
        return self.op(
            "AveragePool",
            [x],
            name,
            kernel_shape=pair(kernel),
            strides=pair(stride),
            pads=edges(pad),
            count_include_pad=int(count_pad),
        )

    def global_avg_pool(self, x: str, name: str | None = None) -> str:
        """Add the mean over a map, to 1x1."""
        return self.op("GlobalAveragePool", [x], name or self.derived(x, "gap"))

    def lrn(
        self, x: str, name: str, *, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, bias: float = 2.0
    ) -> str:
        """Add a local response normalization over channels: x / (bias + alpha * sum of squares) ^ beta.

        Defaults and form are those of Krizhevsky et al., NIPS 2012; ONNX has alpha / size in front of the sum.
        """
        return self.op("LRN", [x], name, size=size, alpha=alpha * size, beta=beta, bias=bias)

    def instance_norm(self, x: str, name: str | None = None, *, epsilon: float = 1e-5) -> str:
        """Add a normalization of every map by its own mean and variance, without a learned scale and shift."""
        name, channels = name or self.derived(x, "in"), self.channels(x)
        scale = self.constant(f"{name}/one", [1.0] * channels, "float32")
        shift = self.constant(f"{name}/zero", [0.0] * channels, "float32")
        return self.op("InstanceNormalization", [x, scale, shift], name, epsilon=epsilon)

    # Elementwise and movement

    def relu(self, x: str, name: str | None = None) -> str:
        """Add a ReLU."""
        return self.op("Relu", [x], name or self.derived(x, "relu"))

    def sigmoid(self, x: str, name: str | None = None) -> str:
        """Add a logistic sigmoid."""
        return self.op("Sigmoid", [x], name or self.derived(x, "sigmoid"))

    def tanh(self, x: str, name: str | None = None) -> str:
        """Add a hyperbolic tangent."""
        return self.op("Tanh", [x], name or self.derived(x, "tanh"))

    def leaky_relu(self, x: str, name: str | None = None, *, alpha: float = 0.1) -> str:
        """Add a leaky ReLU with slope `alpha` below zero."""
        return self.op("LeakyRelu", [x], name or self.derived(x, "leaky_relu"), alpha=alpha)

    def prelu(self, x: str, name: str | None = None) -> str:
        """Add a ReLU whose slope below zero is learned for each channel of a map."""
        name = name or self.derived(x, "prelu")
        slope = self.parameter(f"{name}/slope", [self.channels(x), 1, 1], Uniform(0.2, 0.3))
        return self.op("PRelu", [x, slope], name)

    def softmax(self, x: str, name: str | None = None, *, axis: int = 1) -> str:
        """Add a softmax over an axis."""
        return self.op("Softmax", [x], name or self.derived(x, "softmax"), axis=axis)

    def dropout(self, x: str, name: str | None = None, *, ratio: float = 0.5) -> str:
        """Add a dropout, which changes nothing at inference."""
        name = name or self.derived(x, "dropout")
        return self.op("Dropout", [x, self.constant(f"{name}/ratio", ratio, "float32")], name)

    def add(self, a: str, b: str, name: str) -> str:
        """Add two tensors."""
        return self.op("Add", [a, b], name)

    def mul(self, a: str, b: str, name: str) -> str:
        """Multiply two tensors element by element."""
        return self.op("Mul", [a, b], name)

    def concat(self, tensors: Sequence[str], name: str, *, axis: int = 1) -> str:
        """Join tensors along an axis, channels by default."""
        return self.op("Concat", tensors, name, axis=axis)

    def flatten(self, x: str, name: str | None = None) -> str:
        """Make each sample one row."""
        return self.op("Flatten", [x], name or self.derived(x, "flatten"), axis=1)

    def reshape(self, x: str, name: str, shape: Sequence[int]) -> str:
        """Give the elements another shape, batch included; 0 keeps an extent, -1 stands for the rest."""
        return self.op("Reshape", [x, self.constant(f"{name}/shape", shape)], name)

    def transpose(self, x: str, name: str, order: Sequence[int]) -> str:
        """Reorder the axes."""
        return self.op("Transpose", [x], name, perm=list(order))

    def slice(
        self, x: str, name: str, starts: Sequence[int], ends: Sequence[int], axes: Sequence[int], steps: Sequence[int]
    ) -> str:
        """Take every `steps`-th element of [starts, ends) along the axes."""
        parts = {"starts": starts, "ends": ends, "axes": axes, "steps": steps}
        return self.op("Slice", [x, *(self.constant(f"{name}/{k}", list(v)) for k, v in parts.items())], name)

    def pad(self, x: str, name: str, before: Sequence[int], after: Sequence[int], *, mode: str = "constant") -> str:
        """Extend every axis by its number of elements before and after; `constant` fills with zeros."""
        return self.op("Pad", [x, self.constant(f"{name}/pads", [*before, *after])], name, mode=mode)

    @staticmethod
    def derived(x: str, suffix: str) -> str:
        """Return the name of a layer that hangs on another: `conv1/bn` and "relu" give `conv1/relu`."""
        return f"{x.removesuffix('/bn').removesuffix('/in').removesuffix('/relu')}/{suffix}"
