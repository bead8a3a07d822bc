"""The benchmark of compile time measures what it says: the zoo's convolutional networks, cold and warm, in CPU time."""

from __future__ import annotations

from benchmarks import compile_time


def test_the_networks_are_the_convolutional_ones() -> None:
    """Recurrent networks, those without a convolution and those that compute thousands of regions are left out."""
    names = compile_time.networks()
    assert {"resnet50", "unet", "yolo_v3", "dcgan_generator", "style_transform"} <= {*names}
    assert not {"mlp", "lstm", "image_captioning", "gan_mlp", "faster_rcnn", "sds"} & {*names}


def test_a_network_is_compiled_cold_and_then_with_what_was_found() -> None:
    """The first run must search, the second finds its schedule; both load the compiler and take time for it."""
    row = compile_time.measure("resnet_cifar20", "edge")
    assert float(row["warm"]) > 0.1
    assert float(row["cold"]) > 0.1


def test_the_page_adds_up() -> None:
    rows = [compile_time.Row(name="resnet18", chip="edge", cold=3.0, warm=1.0),
            compile_time.Row(name="vgg16", chip="edge", cold=9.0, warm=5.0)]  # fmt: skip
    page = compile_time.page(rows, "edge")
    assert "2 networks take 12 s cold and 6 s warm: on two cores 6 and 3 s." in page
    assert "| vgg16 | 9.0 | 5.0 |" in page
