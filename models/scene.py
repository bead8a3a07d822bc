"""Labeling every pixel before fully convolutional networks: patches, scales, recurrence, and refinement by a CRF.

Ning et al., "Toward automatic phenotyping of developing embryos from videos", IEEE TIP 2005 (a patch for each pixel);
Farabet et al., "Learning hierarchical features for scene labeling", TPAMI 2013 (a network for each scale);
Pinheiro, Collobert, "Recurrent convolutional neural networks for scene labeling", ICML 2014;
Kraehenbuehl, Koltun, "Efficient inference in fully connected CRFs with Gaussian edge potentials", NIPS 2011.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelc.models.builder import Net
from accelc.models.weights import Normal

_FARABET = (16, 64, 256)
"""Channels of the three 7x7 convolutions (Farabet et al., section 5)."""


def sliding_window_seg(net: Net) -> None:
    """Build the inefficient baseline: a classifier of 46x46 patches, run on the patch around each of 32x32 pixels.

    Neighboring patches share almost all of their pixels, and nothing of that work is shared.
    """
    size, patch = net.size(32, 4), 46
    image = net.input("input", (3, size + patch - 1, size + patch - 1))
    rows = [
        net.slice(image, f"patch{y}_{x}", (y, x), (y + patch, x + patch), (2, 3), (1, 1))
        for y in range(size)
        for x in range(size)
    ]
    x = _classifier(net, net.concat(rows, "patches", axis=0))
    scores = net.fc(x, "score", net.size(33, 5), gain=1.0)
    classes = net.shape(scores)[1]
    grid = net.reshape(scores, "grid", (size, size, net.batch, classes))
    net.output(net.transpose(grid, "labels", (2, 3, 0, 1)))


def _classifier(net: Net, x: str) -> str:
    """Add two 7x7 convolutions with pooling; 46x46 pixels become one vector of 256 features."""
    x = net.tanh(net.conv(x, "conv1", net.width(16, 4), 7, gain=1.0), "tanh1")
    x = net.max_pool(x, "pool1", 2, stride=2)
    x = net.tanh(net.conv(x, "conv2", net.width(64), 7, gain=1.0), "tanh2")
    x = net.max_pool(x, "pool2", 2, stride=2)
    return net.tanh(net.conv(x, "conv3", net.width(256), 7, gain=1.0), "tanh3")


def multiscale_pyramid_seg(net: Net) -> None:
    """Build the multiscale network on a 240x320 image (Stanford Background, 8 classes): one network, three scales.

    The weights are shared by the scales; coarse maps are brought to the size of the finest and stacked to 768 features.
    """
    height, width = net.size(240, 32), net.size(320, 32)
    image = net.input("input", (3, height, width))
    weights = _shared(net)
    maps: list[str] = []
    for scale in range(3):
        x = image if not scale else net.avg_pool(image, f"scale{scale}", 1 << scale, stride=1 << scale)
        x = _farabet(net, x, f"scale{scale}", weights)
        maps.append(x if not scale else _resized(net, x, f"scale{scale}/up", net.shape(maps[0])[2:]))
    x = net.relu(net.conv(net.concat(maps, "features"), "hidden", net.size(1024, 16), 1))
    net.output(_resized(net, net.conv(x, "score", net.size(8, 4), 1, gain=1.0), "labels", (height, width)))


def _shared(net: Net) -> list[tuple[str, str]]:
    """Make the parameters of the three convolutions that all scales use."""
    made, before = [], 3
    for index, full in enumerate(_FARABET, 1):
        channels = net.width(full)
        weight = net.parameter(f"conv{index}/weight", [channels, before, 7, 7], Normal(1.0 / np.sqrt(before * 49)))
        made.append((weight, net.parameter(f"conv{index}/bias", [channels], Normal(0.05))))
        before = channels
    return made


def _farabet(net: Net, x: str, name: str, weights: list[tuple[str, str]]) -> str:
    """Add the three convolutions; the first two are followed by tanh and a 2x2 pooling."""
    for index, (weight, bias) in enumerate(weights, 1):
        x = net.op("Conv", [x, weight, bias], f"{name}/conv{index}", kernel_shape=[7, 7], pads=[3] * 4)
        if index < len(weights):
            x = net.max_pool(net.tanh(x, f"{name}/tanh{index}"), f"{name}/pool{index}", 2, stride=2)
    return x


def _resized(net: Net, x: str, name: str, size: tuple[int, ...]) -> str:
    sizes = net.constant(f"{name}/sizes", [*net.shape(x)[:2], *size])
    return net.op("Resize", [x, "", "", sizes], name, mode="linear", coordinate_transformation_mode="half_pixel")


def recurrent_cnn_seg(net: Net, *, steps: int = 3) -> None:
    """Build rCNN on a 155x155 patch with 8 classes, the same plain network applied `steps` times.

    Each application sees the image, brought to the size of its input, beside the scores of the one before (zeros at
    first); a plain network is 8x8 convolution, 2x2 pooling, 8x8 convolution, 1x1 convolution (section 4.1: 25 and 50
    features), and shrinks its input: 155x155 pixels are what three applications take to label one.
    """
    size, classes = net.size(155, 50), net.size(8, 4)
    image = net.input("input", (3, size, size))
    shared = _plain_network(net, classes)
    scores, extent = "", size
    for step in range(1, steps + 1):
        part = image if step == 1 else _resized(net, image, f"step{step}/image", (extent, extent))
        if scores:
            last = scores
        else:
            last = net.constant("step1/scores", np.zeros((net.batch, classes, extent, extent)), "float32")
        scores = _apply(net, net.concat([part, last], f"step{step}/input"), f"step{step}", shared)
        extent = net.shape(scores)[2]
    net.output(scores)


def _plain_network(net: Net, classes: int) -> dict[str, tuple[str, str]]:
    first, second, kernel = net.width(25, 5), net.width(50, 5), net.size(8, 3)
    shapes = {"conv1": (first, 3 + classes, kernel), "conv2": (second, first, kernel), "conv3": (classes, second, 1)}
    made = {}
    for name, (channels, inputs, extent) in shapes.items():
        std = 1 / np.sqrt(inputs * extent * extent)
        weight = net.parameter(f"{name}/weight", [channels, inputs, extent, extent], Normal(std))
        made[name] = (weight, net.parameter(f"{name}/bias", [channels], Normal(0.05)))
    return made


def _apply(net: Net, x: str, name: str, shared: dict[str, tuple[str, str]]) -> str:
    x = net.tanh(net.op("Conv", [x, *shared["conv1"]], f"{name}/conv1"), f"{name}/tanh1")
    x = net.max_pool(x, f"{name}/pool1", 2, stride=2)
    x = net.tanh(net.op("Conv", [x, *shared["conv2"]], f"{name}/conv2"), f"{name}/tanh2")
    return net.op("Conv", [x, *shared["conv3"]], f"{name}/conv3")


def dense_crf(net: Net, *, iterations: int = 10) -> None:
    """Build mean-field inference on 32x32 pixels and 21 labels: 10 iterations (Chen et al., ICLR 2015, section 4).

    Two Gaussian kernels, one of place and color (standard deviations 80 and 13), one of place (3), act as dense
    matrices between all pairs of pixels; their weights and the Potts model are those of DeepLab's code (4 and 3). At
    this size the matrix of a kernel has a million entries; the published filter approximates it for large images.
    """
    size, labels = net.size(32, 6), net.size(21, 4)
    image = net.input("image", (3, size, size), span=(0, 255))
    unary = net.input("unary", (labels, size, size))
    pixels = size * size
    apart = _apart(size)
    color = net.transpose(net.reshape(image, "colors/flat", (net.batch, 3, pixels)), "colors", (0, 2, 1))
    place = net.constant("places", -apart[None] / (2 * 80.0**2), "float32")
    apart_too = net.add(place, _distances(net, color, "alike", 13.0), "bilateral/distance")
    bilateral = net.op("Exp", [apart_too], "bilateral")
    spatial = net.constant("spatial", np.exp(-apart[None] / (2 * 3.0**2)), "float32")
    kernels = [
        _kernel(net, bilateral, "bilateral/kernel", 4.0, pixels),
        _kernel(net, spatial, "spatial/kernel", 3.0, pixels),
    ]
    scores = net.reshape(unary, "unary/flat", (net.batch, labels, pixels))
    share = net.softmax(scores, "start", axis=1)
    for step in range(1, iterations + 1):
        messages = [net.op("MatMul", [share, kernel], f"step{step}/message{k}") for k, kernel in enumerate(kernels)]
        # The Potts model: what other labels send is a constant less what the same label sends.
        total = net.add(net.add(messages[0], messages[1], f"step{step}/messages"), scores, f"step{step}/scores")
        share = net.softmax(total, f"step{step}", axis=1)
    net.output(net.reshape(share, "labels", (net.batch, labels, size, size)))


def _apart(size: int) -> npt.NDArray[np.float64]:
    """Return the squared distance between all pairs of pixels."""
    place = np.stack(np.meshgrid(np.arange(size), np.arange(size), indexing="ij"), -1).reshape(-1, 2)
    return np.asarray(np.square(place[:, None] - place[None]).sum(-1), np.float64)


def _distances(net: Net, x: str, name: str, deviation: float) -> str:
    """Return -|a - b|^2 / (2 deviation^2) between all pairs of rows (batch, pixels, features)."""
    scaled = net.mul(x, net.constant(f"{name}/scale", 1 / (np.sqrt(2) * deviation), "float32"), f"{name}/scaled")
    square = net.op("ReduceSum", [net.mul(scaled, scaled, f"{name}/squares"), net.constant(f"{name}/axis", [2])],
                    f"{name}/norm", keepdims=1)  # fmt: skip
    other = net.transpose(square, f"{name}/norm_t", (0, 2, 1))
    product = net.op("MatMul", [scaled, net.transpose(scaled, f"{name}/t", (0, 2, 1))], f"{name}/product")
    twice = net.mul(product, net.constant(f"{name}/two", 2.0, "float32"), f"{name}/twice")
    return net.op("Sub", [twice, net.add(square, other, f"{name}/norms")], f"{name}/distances")


def _kernel(net: Net, kernel: str, name: str, weight: float, pixels: int) -> str:
    """Return weight * kernel without the diagonal, each column brought to a sum of about `weight`."""
    mask = np.where(np.eye(pixels, dtype=bool), 0.0, 1.0)[None]
    kernel = net.mul(kernel, net.constant(f"{name}/others", mask, "float32"), f"{name}/pairs")
    total = net.op("ReduceSum", [kernel, net.constant(f"{name}/axis", [1])], f"{name}/total", keepdims=1)
    share = net.op("Div", [kernel, net.add(total, net.constant(f"{name}/least", 1e-6, "float32"), f"{name}/safe")],
                   f"{name}/share")  # fmt: skip
    return net.mul(share, net.constant(f"{name}/weight", weight, "float32"), name)
