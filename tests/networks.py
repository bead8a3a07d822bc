"""Which networks of the zoo the tests of the whole path take."""

from __future__ import annotations

from accelc.models import catalog

CLASSIFIERS = (
    "mlp", "alexnet", "alexnet_grouped", "vgg11", "vgg11_lrn", "vgg13", "vgg16_c", "vgg16", "vgg19", "nin", "googlenet",
    "plain34", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnet_cifar20", "resnet_cifar56",
    "resnext50_32x4d", "wide_resnet50_2",
)  # fmt: skip

REST = tuple(name for name in catalog() if name not in CLASSIFIERS)
