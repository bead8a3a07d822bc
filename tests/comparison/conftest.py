"""One comparison and its written report, shared by the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

import accelc
from accelc.comparison.model import Comparison
from accelc.compiler import Options


@pytest.fixture(scope="session")
def comparison() -> Comparison:
    """Return two tiny networks on two chips under all their dataflows."""
    return accelc.compare(["resnet18", "alexnet"], ["edge", "gemmini"], "all", options=Options(tiny=True))


@pytest.fixture(scope="session")
def report(comparison: Comparison, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of the written report."""
    return comparison.write(tmp_path_factory.mktemp("compare") / "report")
