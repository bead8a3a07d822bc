"""What `import accelc` offers, and that it costs nothing until it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import accelc


def test_the_public_names_exist() -> None:
    for name in accelc.__all__:
        assert getattr(accelc, name) is not None
    assert set(accelc.__all__) <= set(dir(accelc))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'accelc' has no attribute 'nothing'"):
        accelc.nothing  # noqa: B018


@pytest.mark.parametrize("use", ["import accelc", "import accelc.cli"])
def test_import_and_help_load_none_of_the_heavy_packages(use: str) -> None:
    heavy = "('numba', 'onnx', 'onnxruntime', 'pydantic', 'numpy')"
    code = f"{use}; import sys; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
