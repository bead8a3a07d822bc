"""Networks that classify an image."""

from __future__ import annotations

from accelc.models.entry import row

_ALEXNET = 'Krizhevsky, Sutskever, Hinton, "ImageNet classification with deep convolutional neural networks", NIPS 2012'
_VGG = 'Simonyan, Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015'
_NIN = 'Lin, Chen, Yan, "Network in network", ICLR 2014'
_GOOGLENET = 'Szegedy et al., "Going deeper with convolutions", CVPR 2015'
_RESNET = 'He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016'
_RESNEXT = 'Xie, Girshick, Dollar, Tu, He, "Aggregated residual transformations for deep neural networks", CVPR 2017'
_WIDE = 'Zagoruyko, Komodakis, "Wide residual networks", BMVC 2016'
_CS231N = 'Li, Karpathy, Johnson, "CS231n: Convolutional neural networks for visual recognition", Stanford 2016'

_BN = (
    'Ioffe, Szegedy, "Batch normalization: Accelerating deep network training by reducing internal covariate shift", '
    'ICML 2015'
)
_RETHINKING = 'Szegedy et al., "Rethinking the Inception architecture for computer vision", CVPR 2016'
_INCEPTION_V4 = (
    'Szegedy et al., "Inception-v4, Inception-ResNet and the impact of residual connections on learning", AAAI 2017'
)

_BASIC, _BOTTLENECK, _CIFAR = "resnet:resnet_basic", "resnet:resnet_bottleneck", "resnet:resnet_cifar"

ROWS = (
    row("mlp", "perceptron", _CS231N, "mlp:mlp"),
    row("alexnet", "alexnet", _ALEXNET, "alexnet:alexnet"),
    row("alexnet_grouped", "alexnet", _ALEXNET, "alexnet:alexnet", grouped=True),
    row("vgg11", "vgg", _VGG, "vgg:vgg", config="A"),
    row("vgg11_lrn", "vgg", _VGG, "vgg:vgg", config="A", lrn=True),
    row("vgg13", "vgg", _VGG, "vgg:vgg", config="B"),
    row("vgg16_c", "vgg", _VGG, "vgg:vgg", config="C"),
    row("vgg16", "vgg", _VGG, "vgg:vgg", config="D"),
    row("vgg19", "vgg", _VGG, "vgg:vgg", config="E"),
    row("nin", "nin", _NIN, "nin:nin"),
    row("googlenet", "inception", _GOOGLENET, "googlenet:googlenet"),
    row("bn_inception", "inception", _BN, "inception:bn_inception"),
    row("inception_v2", "inception", _RETHINKING, "inception:inception_v2"),
    row("inception_v3", "inception", _RETHINKING, "inception:inception_v3"),
    row("inception_v4", "inception", _INCEPTION_V4, "inception:inception_v4"),
    row("inception_resnet_v1", "inception", _INCEPTION_V4, "inception:inception_resnet", v2=False),
    row("inception_resnet_v2", "inception", _INCEPTION_V4, "inception:inception_resnet", v2=True),
    row("plain34", "resnet", _RESNET, "resnet:plain34"),
    row("resnet18", "resnet", _RESNET, _BASIC, blocks=(2, 2, 2, 2)),
    row("resnet34", "resnet", _RESNET, _BASIC, blocks=(3, 4, 6, 3)),
    row("resnet50", "resnet", _RESNET, _BOTTLENECK, blocks=(3, 4, 6, 3)),
    row("resnet101", "resnet", _RESNET, _BOTTLENECK, blocks=(3, 4, 23, 3)),
    row("resnet152", "resnet", _RESNET, _BOTTLENECK, blocks=(3, 8, 36, 3)),
    row("resnet_cifar20", "resnet", _RESNET, _CIFAR, n=3),
    row("resnet_cifar56", "resnet", _RESNET, _CIFAR, n=9),
    row(
        "resnext50_32x4d", "resnet", _RESNEXT, _BOTTLENECK,
        blocks=(3, 4, 6, 3), groups=32, width_factor=2, stride_in_3x3=True,
    ),
    row(
        "resnext101_32x8d", "resnet", _RESNEXT, _BOTTLENECK,
        blocks=(3, 4, 23, 3), groups=32, width_factor=4, stride_in_3x3=True,
    ),
    row("wrn_28_10", "resnet", _WIDE, "resnet:wide_resnet_cifar", depth=28, factor=10),
    row("wide_resnet50_2", "resnet", _WIDE, _BOTTLENECK, blocks=(3, 4, 6, 3), width_factor=2, stride_in_3x3=True),
)  # fmt: skip
