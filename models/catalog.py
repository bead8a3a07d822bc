"""The table of networks: names, families, sources. It reads without ONNX; a builder loads when it is used."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accelc.models.builder import Net

_IMAGE = (3, 224, 224)

_ALEXNET = 'Krizhevsky, Sutskever, Hinton, "ImageNet classification with deep convolutional neural networks", NIPS 2012'
_VGG = 'Simonyan, Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015'
_NIN = 'Lin, Chen, Yan, "Network in network", ICLR 2014'
_GOOGLENET = 'Szegedy et al., "Going deeper with convolutions", CVPR 2015'
_RESNET = 'He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016'
_RESNEXT = 'Xie, Girshick, Dollar, Tu, He, "Aggregated residual transformations for deep neural networks", CVPR 2017'
_WIDE = 'Zagoruyko, Komodakis, "Wide residual networks", BMVC 2016'
_CS231N = 'Li, Karpathy, Johnson, "CS231n: Convolutional neural networks for visual recognition", Stanford 2016'


@dataclass(frozen=True)
class Entry:
    """A network of the zoo: its builder is `function` of `accelc.models.module`, called with `options`."""

    name: str
    family: str
    source: str
    module: str
    function: str
    input_shape: tuple[int, ...] = _IMAGE
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def build(self, net: Net, **options: Any) -> None:
        """Add the network's layers to an empty `Net`; options given here go before the entry's own."""
        function: Callable[..., None] = getattr(importlib.import_module(f"accelc.models.{self.module}"), self.function)
        function(net, **{**self.options, **options})


def _row(
    name: str, family: str, source: str, builder: str, shape: tuple[int, ...] = _IMAGE, /, **options: Any
) -> Entry:
    module, function = builder.split(":")
    return Entry(name, family, source, module, function, shape, MappingProxyType(options))


_BASIC, _BOTTLENECK, _CIFAR = "resnet:resnet_basic", "resnet:resnet_bottleneck", "resnet:resnet_cifar"

_ROWS = (
    _row("mlp", "perceptron", _CS231N, "mlp:mlp", (3072,)),
    _row("alexnet", "alexnet", _ALEXNET, "alexnet:alexnet", (3, 227, 227)),
    _row("alexnet_grouped", "alexnet", _ALEXNET, "alexnet:alexnet", (3, 227, 227), grouped=True),
    _row("vgg11", "vgg", _VGG, "vgg:vgg", config="A"),
    _row("vgg11_lrn", "vgg", _VGG, "vgg:vgg", config="A", lrn=True),
    _row("vgg13", "vgg", _VGG, "vgg:vgg", config="B"),
    _row("vgg16_c", "vgg", _VGG, "vgg:vgg", config="C"),
    _row("vgg16", "vgg", _VGG, "vgg:vgg", config="D"),
    _row("vgg19", "vgg", _VGG, "vgg:vgg", config="E"),
    _row("nin", "nin", _NIN, "nin:nin"),
    _row("googlenet", "inception", _GOOGLENET, "googlenet:googlenet"),
    _row("plain34", "resnet", _RESNET, "resnet:plain34"),
    _row("resnet18", "resnet", _RESNET, _BASIC, blocks=(2, 2, 2, 2)),
    _row("resnet34", "resnet", _RESNET, _BASIC, blocks=(3, 4, 6, 3)),
    _row("resnet50", "resnet", _RESNET, _BOTTLENECK, blocks=(3, 4, 6, 3)),
    _row("resnet101", "resnet", _RESNET, _BOTTLENECK, blocks=(3, 4, 23, 3)),
    _row("resnet152", "resnet", _RESNET, _BOTTLENECK, blocks=(3, 8, 36, 3)),
    _row("resnet_cifar20", "resnet", _RESNET, _CIFAR, (3, 32, 32), n=3),
    _row("resnet_cifar56", "resnet", _RESNET, _CIFAR, (3, 32, 32), n=9),
    _row(
        "resnext50_32x4d", "resnet", _RESNEXT, _BOTTLENECK,
        blocks=(3, 4, 6, 3), groups=32, width_factor=2, stride_in_3x3=True,
    ),
    _row("wide_resnet50_2", "resnet", _WIDE, _BOTTLENECK, blocks=(3, 4, 6, 3), width_factor=2, stride_in_3x3=True),
)  # fmt: skip

CATALOG: Mapping[str, Entry] = MappingProxyType({row.name: row for row in _ROWS})
"""Every network of the zoo by name."""
