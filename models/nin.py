"""Network in Network: Lin, Chen, Yan, "Network in network", ICLR 2014; the authors' ImageNet model in Caffe."""

from __future__ import annotations

from accelc.models.builder import Net


def nin(net: Net) -> None:
    """Build four convolutions, each with two 1x1 "MLP" layers, and a mean over the last maps instead of FC layers."""
    w, size, classes = net.width, net.size(224, 64), net.size(1000, 10)
    x = net.input("input", (3, size, size))
    x = _mlpconv(net, net.conv_relu(x, "conv1", w(96), 11, stride=4), "cccp1", "cccp2", w(96), w(96))
    x = net.max_pool(x, "pool1", 3, stride=2, ceil=True)
    x = _mlpconv(net, net.conv_relu(x, "conv2", w(256), 5, pad=2), "cccp3", "cccp4", w(256), w(256))
    x = net.max_pool(x, "pool2", 3, stride=2, ceil=True)
    x = _mlpconv(net, net.conv_relu(x, "conv3", w(384), 3, pad=1), "cccp5", "cccp6", w(384), w(384))
    x = net.dropout(net.max_pool(x, "pool3", 3, stride=2, ceil=True))
    x = _mlpconv(net, net.conv_relu(x, "conv4", w(1024), 3, pad=1), "cccp7", "cccp8", w(1024), classes)
    net.output(net.softmax(net.flatten(net.global_avg_pool(x, "pool4")), "prob"))


def _mlpconv(net: Net, x: str, first: str, second: str, hidden: int, channels: int) -> str:
    return net.conv_relu(net.conv_relu(x, first, hidden, 1), second, channels, 1)
