"""The two-layer perceptron 3072-100-10 on flattened 32x32x3 images."""

from __future__ import annotations

from accelc.models.builder import Net


def mlp(net: Net) -> None:
    """Build scores = W2 max(0, W1 x + b1) + b2."""
    x = net.input("input", (net.size(3072, 192),))
    x = net.relu(net.fc(x, "fc1", net.size(100, 24)))
    net.output(net.fc(x, "fc2", 10, gain=1.0), "scores")
