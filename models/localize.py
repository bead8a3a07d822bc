"""Networks whose answer is a place: a box, joints, a map of windows, features of every pixel.

Sermanet et al., "OverFeat: Integrated recognition, localization and detection using convolutional networks", ICLR 2014;
Toshev, Szegedy, "DeepPose: Human pose estimation via deep neural networks", CVPR 2014; Hariharan et al., "Hypercolumns
for object segmentation and fine-grained localization", CVPR 2015; Li, Karpathy, Johnson, "CS231n", Stanford 2016.
"""

from __future__ import annotations

from accelc.models import vgg
from accelc.models.builder import Net


def localizer(net: Net) -> None:
    """Build classification with localization: VGG-16's features, a head of 1000 classes and one of a box."""
    size = net.size(224, 64)
    x = net.flatten(vgg.features(net, net.input("input", (3, size, size)), "D"), "features")
    shared = vgg.fc7(net, x)
    net.output(net.softmax(net.fc(shared, "class", net.size(1000, 10), gain=1.0), "prob"))
    box = net.relu(net.fc(x, "box_fc1", net.size(4096, 32)))
    net.output(net.fc(box, "box", 4, gain=1.0))


def pose(net: Net) -> None:
    """Build the first stage of DeepPose on 220x220: AlexNet's features and the places of 14 joints (LSP).

    The maps are those printed in section 3.1 (55x55x96, 27x27x256, 13x13x384), for which conv1 is padded by 4. The
    poolings, whose extents are not printed, are AlexNet's, to which the section refers. That makes 58.4 M parameters,
    41.5 M of them below fc7; the section prints "about 40M" for the whole, which these layers do not give.
    """
    size = net.size(220, 67)
    x = net.input("input", (3, size, size))
    x = net.lrn(net.conv_relu(x, "conv1", net.width(96), 11, stride=4, pad=4), "norm1")
    x = net.max_pool(x, "pool1", 3, stride=2)
    x = net.lrn(net.conv_relu(x, "conv2", net.width(256), 5, pad=2), "norm2")
    x = net.max_pool(x, "pool2", 3, stride=2)
    x = net.conv_relu(x, "conv3", net.width(384), 3, pad=1)
    x = net.conv_relu(x, "conv4", net.width(384), 3, pad=1)
    x = net.max_pool(net.conv_relu(x, "conv5", net.width(256), 3, pad=1), "pool5", net.size(3, 2), stride=2)
    x = net.dropout(net.relu(net.fc(x, "fc6", net.size(4096, 32))), ratio=0.6)
    x = net.dropout(net.relu(net.fc(x, "fc7", net.size(4096, 32))), ratio=0.6)
    net.output(net.fc(x, "joints", 2 * 14, gain=1.0))


def overfeat_sliding(net: Net) -> None:
    """Build OverFeat's fast network on a 281x317 image: its fully connected layers as convolutions see every window.

    A 231x231 image is one window; here the fifth map is 15x17 before its pooling and 7x8 behind it, and there are 2x3
    windows (table 1 and section 3.3, without the shifted poolings of the fine stride). A second head regresses a box
    for each.
    """
    x = net.input("input", (3, net.size(281, 119), net.size(317, 155)))
    x = net.conv_relu(x, "conv1", net.width(96), 11, stride=4)
    x = net.max_pool(x, "pool1", 2, stride=2)
    x = net.conv_relu(x, "conv2", net.width(256), 5)
    x = net.max_pool(x, "pool2", 2, stride=2)
    x = net.conv_relu(x, "conv3", net.width(512), 3, pad=1)
    x = net.conv_relu(x, "conv4", net.width(1024), 3, pad=1)
    x = net.conv_relu(x, "conv5", net.width(1024), 3, pad=1)
    x = net.max_pool(x, "pool5", 2, stride=2)
    window = net.size(6, 2)
    y = net.dropout(net.conv_relu(x, "fc6", net.size(3072, 32), window))
    y = net.dropout(net.conv_relu(y, "fc7", net.size(4096, 32), 1))
    net.output(net.softmax(net.conv(y, "fc8", net.size(1000, 10), 1, gain=1.0), "prob"))
    box = net.conv_relu(x, "box_fc6", net.size(4096, 32), window)
    box = net.conv_relu(box, "box_fc7", net.size(1024, 16), 1)
    net.output(net.conv(box, "box", 4, 1, gain=1.0))


def hypercolumns(net: Net) -> None:
    """Build the hypercolumn classifier of 50x50 locations on AlexNet: scores of pool2, conv4 and fc7, summed.

    Each map is classified by a 1x1 convolution and brought bilinearly to the grid; summing the classifiers' scores
    equals one classifier on the stacked features (section 3.3). The box's crop is 227x227.
    """
    size, grid = net.size(227, 67), net.size(50, 8)
    x = net.input("input", (3, size, size))
    x = net.lrn(net.max_pool(net.conv_relu(x, "conv1", net.width(96), 11, stride=4), "pool1", 3, stride=2), "norm1")
    pool2 = net.max_pool(net.conv_relu(x, "conv2", net.width(256), 5, pad=2, groups=2), "pool2", 3, stride=2)
    x = net.conv_relu(net.lrn(pool2, "norm2"), "conv3", net.width(384), 3, pad=1)
    conv4 = net.conv_relu(x, "conv4", net.width(384), 3, pad=1, groups=2)
    x = net.conv_relu(conv4, "conv5", net.width(256), 3, pad=1, groups=2)
    x = net.max_pool(x, "pool5", net.size(3, 2), stride=2)
    x = net.dropout(net.relu(net.fc(x, "fc6", net.size(4096, 32))))
    x = net.dropout(net.relu(net.fc(x, "fc7", net.size(4096, 32))))
    fc7 = net.reshape(x, "fc7/map", (net.batch, net.shape(x)[1], 1, 1))
    total = ""
    for name, source in (("pool2", pool2), ("conv4", conv4), ("fc7", fc7)):
        score = net.conv(source, f"score_{name}", 1, 1, gain=0.6)
        sizes = net.constant(f"up_{name}/sizes", [net.batch, 1, grid, grid])
        up = net.op("Resize", [score, "", "", sizes], f"up_{name}", mode="linear",
                    coordinate_transformation_mode="half_pixel")  # fmt: skip
        total = up if not total else net.add(total, up, f"sum_{name}")
    net.output(net.sigmoid(total, "mask"))
