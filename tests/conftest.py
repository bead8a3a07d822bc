"""Fixtures shared by all tests: golden text that `pytest --update-golden` rewrites."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How fast examples are drawn is the machine's load, not the code's fault.
settings.register_profile("accelc", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("accelc")

TESTS = Path(__file__).parent

Golden = Callable[..., None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite golden files with what the code gives now")


@pytest.fixture
def same_file(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Return check(path, text): the file holds exactly that text."""

    def check(path: Path, text: str) -> None:
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            return
        assert path.is_file(), f"{path} is missing; run pytest --update-golden and read what it writes"
        expected = path.read_text(encoding="utf-8")
        assert text == expected, f"{path} differs; if the new text is right, run pytest --update-golden"

    return check


@pytest.fixture
def golden(request: pytest.FixtureRequest, same_file: Callable[[Path, str], None]) -> Golden:
    """Return check(text, case=test's name): the text equals tests/golden/<test file>/<case>.txt."""
    folder = TESTS / "golden" / request.path.relative_to(TESTS).with_suffix("")

    def check(text: str, case: str | None = None) -> None:
        name = case or request.node.originalname.removeprefix("test_")
        same_file(folder / f"{name}.txt", text.rstrip("\n") + "\n")

    return check
