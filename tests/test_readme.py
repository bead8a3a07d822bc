"""README tells the truth: its commands are the ones that are tested, its output is what the command prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from accelc.cli import app
from accelc.compiler import compile_stages
from accelc.run import run_compiled

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMAND = re.compile(r"^accelc ([a-z]+)", re.MULTILINE)
WIDTH = 110
BLOCK = re.compile(r"(<!-- accelc run alexnet.*?-->\n```\n)(.*?)(```\n)", re.DOTALL)


@pytest.mark.slow
def test_the_output_shown_is_what_the_command_prints(request: pytest.FixtureRequest) -> None:
    run = run_compiled(compile_stages("alexnet"))
    assert run.check.mismatches == 0
    printed = run.report(WIDTH)
    text = README.read_text(encoding="utf-8")
    if request.config.getoption("--update-golden"):
        README.write_text(BLOCK.sub(lambda m: m[1] + printed + m[3], text), encoding="utf-8")
        return
    shown = BLOCK.search(text)
    assert shown is not None
    # The accuracy follows the last bits of the host's float arithmetic; the other lines are the same everywhere.
    assert stable(shown[2]) == stable(printed), "run pytest tests/test_readme.py --update-golden"


def stable(report: str) -> list[str]:
    return [line for line in report.splitlines() if not line.startswith("quantization")]


def test_the_two_commands_are_the_ones_ci_runs() -> None:
    readme, ci = README.read_text(encoding="utf-8"), (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "```\npython -m pip install . && accelc run alexnet\n```" in readme
    assert "```\npython -m pip install -e '.[test]' && python -m pytest\n```" in readme
    assert "accelc run alexnet\n" in ci
    assert "-e '.[test]'" in ci


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_every_command_named_exists() -> None:
    known = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    used = {name for page in PAGES for name in COMMAND.findall(page.read_text(encoding="utf-8"))}
    assert {"run", "compile"} <= used <= known
