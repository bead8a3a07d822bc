"""Networks that make images or carry a style over."""

from __future__ import annotations

from accelc.models.entry import row

_GAN = 'Goodfellow et al., "Generative adversarial nets", NIPS 2014'
_CGAN = 'Mirza, Osindero, "Conditional generative adversarial nets", arXiv 2014'
_DCGAN = (
    'Radford, Metz, Chintala, "Unsupervised representation learning with deep convolutional generative adversarial '
    'networks", ICLR 2016'
)
_INFOGAN = (
    'Chen et al., "InfoGAN: Interpretable representation learning by information maximizing generative adversarial '
    'nets", NIPS 2016'
)
_BIGAN = 'Donahue, Krähenbühl, Darrell, "Adversarial feature learning", ICLR 2017'
_VAE_GAN = 'Larsen et al., "Autoencoding beyond pixels using a learned similarity metric", ICML 2016'
_CYCLEGAN = 'Zhu et al., "Unpaired image-to-image translation using cycle-consistent adversarial networks", ICCV 2017'
_RESGAN = (
    'Wang, Li, Li, "Generative adversarial network based on ResNet for conditional image restoration", arXiv 2017'
)
_SRGAN = (
    'Ledig et al., "Photo-realistic single image super-resolution using a generative adversarial network", CVPR 2017'
)
_GATYS = 'Gatys, Ecker, Bethge, "Image style transfer using convolutional neural networks", CVPR 2016'
_JOHNSON = (
    'Johnson, Alahi, Fei-Fei, "Perceptual losses for real-time style transfer and super-resolution", ECCV 2016'
)

ROWS = (
    row("gan_mlp", "gan", _GAN, "gan:gan_mlp"),
    row("dcgan_generator", "gan", _DCGAN, "gan:dcgan_generator"),
    row("dcgan_discriminator", "gan", _DCGAN, "gan:dcgan_discriminator"),
    row("cgan", "gan", _CGAN, "gan:cgan"),
    row("infogan", "gan", _INFOGAN, "gan:infogan"),
    row("bigan", "gan", _BIGAN, "gan:bigan"),
    row("vae_gan", "gan", _VAE_GAN, "gan:vae_gan"),
    row("srgan_generator", "translation", _SRGAN, "translation:srgan_generator"),
    row("cyclegan_generator", "translation", _CYCLEGAN, "translation:cyclegan_generator"),
    row("resgan", "translation", _RESGAN, "translation:resgan"),
    row("style_gatys", "style", _GATYS, "style:style_gatys"),
    row("style_transform", "style", _JOHNSON, "translation:style_transform", size=256),
    row("style_transform_512", "style", _JOHNSON, "translation:style_transform", size=512),
    row("style_transform_1024", "style", _JOHNSON, "translation:style_transform", size=1024),
)
