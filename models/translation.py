"""Image-to-image generators: strided convolutions down, residual blocks, transposed convolutions up.

Zhu et al., "Unpaired image-to-image translation using cycle-consistent adversarial networks", ICCV 2017 (CycleGAN);
Wang, Li, Li, "Generative adversarial network based on ResNet for conditional image restoration", 2017 (ResGAN);
Johnson, Alahi, Fei-Fei, "Perceptual losses for real-time style transfer and super-resolution", ECCV 2016;
Ledig et al., "Photo-realistic single image super-resolution using a generative adversarial network", CVPR 2017 (SRGAN).
"""

from __future__ import annotations

from accelc.models.builder import Net


def cyclegan_generator(net: Net, *, size: int = 256, blocks: int = 9) -> None:
    """Build CycleGAN's generator c7s1-64, d128, d256, R256 x blocks, u128, u64, c7s1-3 (appendix 7.2).

    Nine blocks serve images of 256x256, six images of 128x128.
    """
    size = net.size(size, 32)
    x = _translate(net, net.input("input", (3, size, size)), net.size(blocks, 2))
    net.output(net.tanh(x, "output"))


def resgan(net: Net) -> None:
    """Build a residual generator that restores a degraded 128x128 image.

    The sizes are a choice made here, those of CycleGAN at this extent: six residual blocks of 256 channels between two
    halvings; they are not taken from the cited paper.
    """
    size = net.size(128, 32)
    degraded = net.input("degraded", (3, size, size))
    net.output(net.tanh(_translate(net, degraded, net.size(6, 2)), "restored"))


def _translate(net: Net, x: str, blocks: int) -> str:
    """Add convolutions down to a quarter of the image, residual blocks, and transposed convolutions back up."""
    x = _same_conv(net, x, "c7s1-64", net.width(64), 7)
    for channels in (128, 256):
        x = net.conv(x, f"d{channels}", net.width(channels), 3, stride=2, pad=1)
        x = net.relu(net.instance_norm(x))
    for index in range(1, blocks + 1):
        y = _same_conv(net, x, f"R256_{index}/a", net.channels(x), 3)
        y = net.conv(_reflect(net, y, 1, f"R256_{index}/b/pad"), f"R256_{index}/b", net.channels(x), 3)
        x = net.add(x, net.instance_norm(y), f"R256_{index}")
    for channels in (128, 64):
        x = net.conv_transpose(x, f"u{channels}", net.width(channels), 3, stride=2, pad=1, output_pad=1)
        x = net.relu(net.instance_norm(x))
    return net.conv(_reflect(net, x, 3, "c7s1-3/pad"), "c7s1-3", 3, 7, gain=0.5)


def _same_conv(net: Net, x: str, name: str, channels: int, kernel: int) -> str:
    """Add a convolution of a map extended by its reflection, instance normalization and ReLU."""
    x = net.conv(_reflect(net, x, kernel // 2, f"{name}/pad"), name, channels, kernel)
    return net.relu(net.instance_norm(x))


def _reflect(net: Net, x: str, by: int, name: str) -> str:
    """Extend a map on its four sides by its own reflection."""
    return net.pad(x, name, (0, 0, by, by), (0, 0, by, by), mode="reflect")


def style_transform(net: Net, *, size: int = 256) -> None:
    """Build Johnson's image transform network (supplement, table 1) for a size x size image.

    Blocks convolve without padding and crop their shortcuts; reflecting 40 pixels in front makes up for what they lose.
    The output is a scaled tanh with values in [0, 255].
    """
    size, blocks = net.size(size, 24), net.size(5, 2)
    x = _reflect(net, net.input("input", (3, size, size)), 8 * blocks, "pad")
    x = net.conv(x, "conv1", net.width(32, 8), 9, pad=4)
    x = net.relu(net.batch_norm(x))
    x = net.conv_bn_relu(x, "conv2", net.width(64, 8), 3, stride=2, pad=1)
    x = net.conv_bn_relu(x, "conv3", net.width(128, 8), 3, stride=2, pad=1)
    for index in range(1, blocks + 1):
        x = _cropped_block(net, x, f"res{index}", blocks**-0.5)
    for name, channels in (("up1", 64), ("up2", 32)):
        x = net.conv_transpose(x, name, net.width(channels, 8), 3, stride=2, pad=1, output_pad=1, bias=False)
        x = net.relu(net.batch_norm(x))
    x = net.tanh(net.conv(x, "conv4", 3, 9, pad=4, gain=0.3))
    half = net.constant("half_range", 127.5, "float32")
    net.output(net.add(net.mul(x, half, "scaled"), half, "output"))


def _cropped_block(net: Net, x: str, name: str, gamma: float) -> str:
    """Add two 3x3 convolutions without padding and the middle of the input (supplement, section 1).

    `gamma` is the scale of the branch, so that all blocks together grow the variance little.
    """
    _, channels, height, width = net.shape(x)
    y = net.conv_bn_relu(x, f"{name}/a", channels, 3)
    y = net.conv_bn(y, f"{name}/b", channels, 3, gamma=gamma)
    shortcut = net.slice(x, f"{name}/crop", (2, 2), (height - 2, width - 2), (2, 3), (1, 1))
    return net.add(y, shortcut, name)


def srgan_generator(net: Net, *, size: int = 64) -> None:
    """Build SRResNet, SRGAN's generator (figure 4), which enlarges a size x size image by four.

    The paper trains on crops of 24x24 and applies the network to images of any size; 64x64 to 256x256 is taken here.
    """
    size, blocks, channels = net.size(size, 16), net.size(16, 2), net.width(64)
    first = x = net.prelu(net.conv(net.input("input", (3, size, size)), "conv1", channels, 9, pad=4))
    for index in range(1, blocks + 1):
        y = net.prelu(net.conv_bn(x, f"res{index}/a", channels, 3, pad=1))
        y = net.conv_bn(y, f"res{index}/b", channels, 3, pad=1, gamma=blocks**-0.5)
        x = net.add(x, y, f"res{index}")
    x = net.add(net.conv_bn(x, "conv2", channels, 3, pad=1), first, "skip")
    for index in (1, 2):
        x = net.conv(x, f"up{index}", 4 * channels, 3, pad=1)
        x = net.prelu(net.op("DepthToSpace", [x], f"up{index}/shuffle", blocksize=2, mode="CRD"))
    net.output(net.conv(x, "conv3", 3, 9, pad=4, gain=1.0), "output")
