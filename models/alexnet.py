"""AlexNet: Krizhevsky et al., "ImageNet classification with deep convolutional neural networks", NIPS 2012."""

from __future__ import annotations

from accelc.models.builder import Net


def alexnet(net: Net, *, grouped: bool = False) -> None:
    """Build AlexNet; `grouped` splits conv2, conv4 and conv5 over two halves of the channels, as on its two GPUs.

    Normalization follows pooling 1 and 2 (the order of the paper's text is the reverse).
    """
    w, groups = net.width, 2 if grouped else 1
    x = net.input("input", (3, net.size(227, 67), net.size(227, 67)))
    x = net.conv_relu(x, "conv1", w(96), 11, stride=4)
    x = net.max_pool(x, "pool1", 3, stride=2)
    x = net.lrn(x, "norm1")
    x = net.conv_relu(x, "conv2", w(256), 5, pad=2, groups=groups)
    x = net.max_pool(x, "pool2", 3, stride=2)
    x = net.lrn(x, "norm2")
    x = net.conv_relu(x, "conv3", w(384), 3, pad=1)
    x = net.conv_relu(x, "conv4", w(384), 3, pad=1, groups=groups)
    x = net.conv_relu(x, "conv5", w(256), 3, pad=1, groups=groups)
    x = net.max_pool(x, "pool5", net.size(3, 2), stride=2)
    x = net.dropout(net.relu(net.fc(x, "fc6", net.size(4096, 64))))
    x = net.dropout(net.relu(net.fc(x, "fc7", net.size(4096, 64))))
    x = net.fc(x, "fc8", net.size(1000, 10), gain=1.0)
    net.output(net.softmax(x, "prob"))
