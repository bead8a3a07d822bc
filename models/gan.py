"""Adversarial networks that make images of noise, of labels or of codes.

Goodfellow et al., "Generative adversarial nets", NIPS 2014;
Mirza, Osindero, "Conditional generative adversarial nets", 2014 (CGAN);
Radford, Metz, Chintala, "Unsupervised representation learning with deep convolutional generative adversarial networks",
ICLR 2016 (DCGAN);
Chen et al., "InfoGAN: Interpretable representation learning by information maximizing generative adversarial nets",
NIPS 2016;
Donahue, Krähenbühl, Darrell, "Adversarial feature learning", ICLR 2017 (BiGAN);
Larsen et al., "Autoencoding beyond pixels using a learned similarity metric", ICML 2016 (VAE/GAN).

Networks with several parts compute them all, as one step of training does: a generated image goes on to the
discriminator. Samples that pass the same part are stacked on the batch axis.
"""

from __future__ import annotations

from accelc.models.builder import Extent, Net


def gan_mlp(net: Net) -> None:
    """Build the MNIST pair of the first adversarial nets: 100-1200-1200-784, and a discriminator of maxout units.

    The discriminator has two layers of 240 maxout units of five pieces each (the authors' configuration).
    """
    x = net.input("noise", (net.size(100, 16),))
    for name in ("g1", "g2"):
        x = net.relu(net.fc(x, name, net.size(1200, 32)))
    x = net.output(net.sigmoid(net.fc(x, "g3", net.size(784, 64), gain=1.0)), "image")
    for name in ("d1", "d2"):
        x = _maxout(net, x, name, net.size(240, 8), 5)
    net.output(_judge(net, x), "real")


def cgan(net: Net) -> None:
    """Build the conditional MNIST pair (section 4.1): noise and a class each have layers of their own, then join.

    The class is given one-hot; a generated image goes to the discriminator together with it.
    """
    noise, label = net.input("noise", (net.size(100, 16),)), net.input("label", (10,), span=(0, 1))
    x = net.relu(net.fc(noise, "g_noise", net.size(200, 8)))
    y = net.relu(net.fc(label, "g_label", net.size(1000, 16)))
    x = net.relu(net.fc(net.concat([x, y], "g_joined"), "g_hidden", net.size(1200, 24)))
    x = net.output(net.sigmoid(net.fc(x, "g_pixels", net.size(784, 64), gain=1.0)), "image")
    x = _maxout(net, x, "d_image", net.size(240, 8), 5)
    y = _maxout(net, label, "d_label", net.size(50, 8), 5)
    x = _maxout(net, net.concat([x, y], "d_joined"), "d_hidden", net.size(240, 8), 4)
    net.output(_judge(net, x), "real")


def _maxout(net: Net, x: str, name: str, units: int, pieces: int) -> str:
    """Add units that are the maximum of several linear pieces each."""
    x = net.reshape(net.fc(x, name, units * pieces, gain=1.0), f"{name}/pieces", (0, units, pieces))
    return net.op("ReduceMax", [x], f"{name}/maxout", axes=[2], keepdims=0)


def _judge(net: Net, x: str, name: str = "judge") -> str:
    """Add the probability that an image is real."""
    return net.sigmoid(net.fc(x, name, 1, gain=1.0))


def dcgan_generator(net: Net) -> None:
    """Build figure 1: 100 numbers to 4x4x1024, then four 5x5 transposed convolutions of stride 2 to a 64x64 image."""
    x = net.fc(net.input("noise", (100,)), "project", 16 * net.width(1024), bias=False, gain=1.0)
    x = net.relu(net.batch_norm(net.reshape(x, "map", (0, net.width(1024), 4, 4))))
    for index, channels in enumerate((512, 256, 128), 1):
        x = _up(net, x, f"conv{index}", net.width(channels))
    x = net.conv_transpose(x, "conv4", 3, 5, stride=2, pad=2, output_pad=1, gain=1.0)
    net.output(net.tanh(x), "image")


def _up(net: Net, x: str, name: str, channels: int, kernel: Extent = 5) -> str:
    """Add a transposed convolution to twice the extent, batch normalization and ReLU."""
    odd = int(kernel == 5)
    x = net.conv_transpose(x, name, channels, kernel, stride=2, pad=1 + odd, output_pad=odd, bias=False)
    return net.relu(net.batch_norm(x))


def dcgan_discriminator(net: Net) -> None:
    """Build the generator's mirror: four 5x5 convolutions of stride 2, leaky ReLU 0.2, no normalization of the first.

    The widths 128, 256, 512 and 1024 are those of the authors' program.
    """
    x = net.input("image", (3, 64, 64))
    x = net.leaky_relu(net.conv(x, "conv1", net.width(128), 5, stride=2, pad=2), alpha=0.2)
    for index, channels in enumerate((256, 512, 1024), 2):
        x = net.conv(x, f"conv{index}", net.width(channels), 5, stride=2, pad=2, bias=False)
        x = net.leaky_relu(net.batch_norm(x), alpha=0.2)
    net.output(_judge(net, x), "real")


def infogan(net: Net) -> None:
    """Build the MNIST networks of table 1: noise 62, a class of ten and two codes; D and Q share all but the heads.

    Q recovers the class and the codes' means from the generated image.
    """
    parts = [("noise", 62), ("class", 10), ("code", 2)]
    x = net.concat([net.input(name, (n,), span=None if name == "noise" else (-1, 1)) for name, n in parts], "latent")
    x = _fc_bn_relu(net, x, "g1", net.width(1024, 32))
    x = _fc_bn_relu(net, x, "g2", 49 * net.width(128))
    x = _up(net, net.reshape(x, "map", (0, net.width(128), 7, 7)), "g3", net.width(64), 4)
    x = net.conv_transpose(x, "g4", 1, 4, stride=2, pad=1, gain=1.0)
    x = net.output(net.sigmoid(x), "image")
    x = net.leaky_relu(net.conv(x, "d1", net.width(64), 4, stride=2, pad=1))
    x = net.leaky_relu(net.batch_norm(net.conv(x, "d2", net.width(128), 4, stride=2, pad=1, bias=False)))
    x = net.leaky_relu(net.batch_norm(net.fc(x, "d3", net.width(1024, 32), bias=False)))
    net.output(_judge(net, x), "real")
    x = net.leaky_relu(net.batch_norm(net.fc(x, "q1", net.width(128), bias=False)))
    net.output(net.softmax(net.fc(x, "q_class", 10, gain=1.0)), "class_found")
    net.output(net.fc(x, "q_code", 2, gain=1.0), "code_found")


def _fc_bn_relu(net: Net, x: str, name: str, features: int) -> str:
    return net.relu(net.batch_norm(net.fc(x, name, features, bias=False)))


def bigan(net: Net) -> None:
    """Build the MNIST networks of appendix C.1: encoder, generator and discriminator of two hidden layers of 1024.

    The discriminator judges pairs: an image with its code E(x), and G(z) with its noise of 50.
    """
    hidden, pixels, latent = net.size(1024, 32), net.size(784, 64), net.size(50, 8)
    image, noise = net.input("image", (pixels,), span=(0, 1)), net.input("noise", (latent,), span=(-1, 1))
    code = net.leaky_relu(net.fc(image, "e1", hidden), alpha=0.2)
    code = net.leaky_relu(net.batch_norm(net.fc(code, "e2", hidden, bias=False)), alpha=0.2)
    code = net.output(net.fc(code, "e3", latent, gain=1.0), "code")
    made = net.relu(net.fc(noise, "g1", hidden))
    made = net.sigmoid(net.fc(_fc_bn_relu(net, made, "g2", hidden), "g3", pixels, gain=1.0))
    made = net.output(made, "made")
    images, codes = net.concat([image, made], "images", axis=0), net.concat([code, noise], "codes", axis=0)
    x = net.leaky_relu(net.fc(net.concat([images, codes], "pairs"), "d1", hidden), alpha=0.2)
    x = net.leaky_relu(net.batch_norm(net.fc(x, "d2", hidden, bias=False)), alpha=0.2)
    net.output(_judge(net, x), "real")


def vae_gan(net: Net) -> None:
    """Build table 1 of VAE/GAN for 64x64 faces: encoder, decoder (the generator) and discriminator.

    The discriminator sees the image, its reconstruction and an image made of noise; the spread around the code is drawn
    by an input of standard normal numbers.
    """
    latent, size = net.size(128, 16), net.size(64, 32)
    image = net.input("image", (3, size, size))
    code = _encode(net, image, latent)
    codes = net.concat([code, net.input("noise", (latent,))], "codes", axis=0)
    made = net.output(_decode(net, codes, size // 8), "made")
    net.output(_discriminate(net, net.concat([image, made], "images", axis=0)), "real")


def _encode(net: Net, x: str, latent: int) -> str:
    """Add the encoder and a sample of its normal distribution: mean + exp(log variance / 2) * spread."""
    for index, channels in enumerate((64, 128, 256), 1):
        x = net.conv_bn_relu(x, f"enc{index}", net.width(channels), 5, stride=2, pad=2)
    x = _fc_bn_relu(net, x, "enc4", net.width(2048, 32))
    mean = net.output(net.fc(x, "mean", latent, gain=1.0))
    log_variance = net.output(net.fc(x, "log_variance", latent, gain=0.5))
    half = net.mul(log_variance, net.constant("half", 0.5, "float32"), "log_deviation")
    spread = net.mul(net.op("Exp", [half], "deviation"), net.input("spread", (latent,)), "scaled_spread")
    return net.add(mean, spread, "code")


def _decode(net: Net, x: str, extent: int) -> str:
    x = _fc_bn_relu(net, x, "dec1", extent * extent * net.width(256))
    x = net.reshape(x, "dec1/map", (0, net.width(256), extent, extent))
    for index, channels in enumerate((256, 128, 32), 2):
        x = _up(net, x, f"dec{index}", net.width(channels))
    return net.tanh(net.conv(x, "dec5", 3, 5, pad=2, gain=1.0))


def _discriminate(net: Net, x: str) -> str:
    x = net.conv_relu(x, "dis1", net.width(32), 5, pad=2)
    for index, channels in enumerate((128, 256, 256), 2):
        x = net.conv_bn_relu(x, f"dis{index}", net.width(channels), 5, stride=2, pad=2)
    return _judge(net, _fc_bn_relu(net, x, "dis5", net.width(512)))
