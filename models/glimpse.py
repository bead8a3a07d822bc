"""Networks that choose where to look.

Mnih, Heess, Graves, Kavukcuoglu, "Recurrent models of visual attention", NIPS 2014;
Jaderberg, Simonyan, Zisserman, Kavukcuoglu, "Spatial transformer networks", NIPS 2015.

Positions are those of GridSample: (x, y) from -1 at the first to 1 at the last pixel.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from accelc.models.builder import Net
from accelc.models.recurrent import linear


def glimpse_rnn(net: Net) -> None:
    """Build the recurrent attention model for 60x60 cluttered translated digits (sections 3.1 and 4.1).

    Eight glimpses of three patches of 12x12, each over twice the extent of the one before; glimpse network 128 + 128 to
    256, core of 256 ReLU units. The first location is given; the others, sampled in training, are the means.
    """
    size, hidden, part = net.size(60, 30), net.size(256, 16), net.size(128, 12)
    image = net.input("image", (1, size, size))
    patch = net.size(12, 6)
    see = _glimpses(net, 3 * patch * patch, part, hidden)
    inward = linear(net, "core_x", hidden, hidden, gain=1.4)
    back, where = linear(net, "core_h", hidden, hidden, bias=False), linear(net, "location", hidden, 2)
    place, state = net.input("first_place", (2,), span=(-1, 1)), ""
    for index in range(1, net.size(8, 3) + 1):
        name = f"glimpse{index}"
        now = inward(see(_retina(net, image, place, patch, name), place, name), f"{name}/core_x")
        if state:
            now = net.add(now, back(state, f"{name}/core_h"), f"{name}/core")
        state = net.relu(now, f"{name}/state")
        place = net.tanh(where(state, f"{name}/location"), f"{name}/place")
    net.output(place, "last_place")
    net.output(net.softmax(linear(net, "digit", hidden, 10)(state, "digit"), "prob"))


def _retina(net: Net, image: str, place: str, patch: int, name: str) -> str:
    """Add three patches around a place, the wider ones averaged down to the same extent, as one row."""
    size, patches = net.shape(image)[2], []
    centre = net.reshape(place, f"{name}/centre", (net.batch, 1, 1, 2))
    for scale in (1, 2, 4):
        steps = (np.arange(patch * scale) - (patch * scale - 1) / 2) * 2 / (size - 1)
        around = np.stack(np.meshgrid(steps, steps), axis=-1)[None]
        offsets = net.constant(f"{name}/x{scale}/offsets", around, "float32")
        grid = net.add(centre, offsets, f"{name}/x{scale}/grid")
        x = net.op("GridSample", [image, grid], f"{name}/x{scale}", align_corners=1, padding_mode="zeros")
        patches.append(net.avg_pool(x, f"{name}/x{scale}/small", scale, stride=scale))
    return net.flatten(net.concat(patches, f"{name}/patches"), f"{name}/retina")


def _glimpses(net: Net, pixels: int, part: int, hidden: int) -> Callable[[str, str, str], str]:
    """Make the glimpse network: what is seen and where, each through a layer of its own, then together."""
    what, where = linear(net, "what", pixels, part, gain=1.4), linear(net, "where", 2, part, gain=1.4)
    both = [linear(net, f"glimpse_{n}", part, hidden, gain=1.4) for n in ("what", "where")]

    def see(seen: str, place: str, name: str) -> str:
        layers = (net.relu(what(seen, f"{name}/what")), net.relu(where(place, f"{name}/where")))
        a, b = (layer(x, f"{name}/from{i}") for i, (layer, x) in enumerate(zip(both, layers, strict=True)))
        return net.relu(net.add(a, b, f"{name}/seen"))

    return see


def spatial_transformer(net: Net) -> None:
    """Build ST-CNN for distorted 28x28 digits (section 4.1, appendix A.4): a CNN finds an affine map and looks through.

    Localization: two 5x5 convolutions of 20 maps, each after a 2x2 pooling, and a layer of 20. Classifier: a 9x9 and a
    7x7 convolution, each with a 2x2 pooling; their 32 maps and a hidden layer of 256 are a choice made here.
    """
    size = net.size(28, 24)
    image = net.input("image", (1, size, size))
    theta = net.output(_localize(net, image), "theta")
    grid = net.op("MatMul", [net.constant("pixels", _pixels(size), "float32"), theta], "grid_row")
    grid = net.reshape(grid, "grid", (net.batch, size, size, 2))
    x = net.op("GridSample", [image, grid], "transformed", align_corners=1, padding_mode="zeros")
    x = net.max_pool(net.conv_relu(x, "conv1", net.width(32, 8), 9), "pool1", 2, stride=2)
    x = net.max_pool(net.conv_relu(x, "conv2", net.width(32, 8), net.size(7, 5)), "pool2", 2, stride=2)
    x = net.relu(net.fc(x, "fc", net.size(256, 16)))
    net.output(net.softmax(net.fc(x, "digit", 10, gain=1.0), "prob"))


def _localize(net: Net, image: str) -> str:
    """Add the affine map of an image, [batch, 3, 2]: the identity and what the network adds to it."""
    x = net.max_pool(image, "loc_pool1", 2, stride=2)
    x = net.conv_relu(x, "loc_conv1", net.width(20, 5), 5)
    x = net.max_pool(x, "loc_pool2", 2, stride=2)
    x = net.conv_relu(x, "loc_conv2", net.width(20, 5), net.size(5, 3))
    x = net.relu(net.fc(x, "loc_fc", net.width(20, 2)))
    x = net.reshape(net.fc(x, "loc_theta", 6, gain=0.2), "loc_map", (net.batch, 3, 2))
    return net.add(x, net.constant("identity", [[1, 0], [0, 1], [0, 0]], "float32"), "theta_sum")


def _pixels(size: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return (x, y, 1) of every pixel, [size * size, 3]."""
    y, x = np.meshgrid(*[np.linspace(-1, 1, size)] * 2, indexing="ij")
    return np.stack([x, y, np.ones_like(x)], axis=-1).reshape(-1, 3)
