"""Who may import whom: the source tree's layers, read from the syntax of every module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TREES = {"accelc": ROOT / "accelc", "accelc.sim": ROOT / "sim", "accelc.models": ROOT / "models"}

LEAVES = {"errors", "files", "caches"}
PROGRAM = {"program", "program_file", "program_records", "program_text"}
BELOW = LEAVES | {"chip", "isa"} | PROGRAM
# The passes over a Graph, which may use each other.
MIDDLE = {"arithmetic", "arithmetic_wide", "frontend", "passes", "quantize", "reference"}

# What each part may import of accelc, besides itself; a part that is not here (cli, report, ...) joins the others and
# may import them all, but is imported by none of these.
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "files": LEAVES,
    "caches": LEAVES,
    "chip": LEAVES,
    "isa": LEAVES | {"chip"},
    **dict.fromkeys(PROGRAM, BELOW),
    "energy": LEAVES | {"chip", "isa"},
    "graph": LEAVES,
    **{name: BELOW | {"graph"} | MIDDLE for name in MIDDLE},
    "schedule": BELOW | {"energy", "graph", "sim"} | MIDDLE,
    "lower": BELOW | {"energy", "graph", "schedule"} | MIDDLE,
    "sim": BELOW | {"energy"},
    "models": set(),
}


def modules() -> Iterator[tuple[str, Path]]:
    """Yield each module's dotted name and file; the links inside accelc are followed by their own tree."""
    for package, folder in TREES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            if package == "accelc" and parts[0] in ("sim", "models"):
                continue
            yield ".".join([package, *parts]).removesuffix(".__init__"), path


MODULES = dict(modules())


def imported(name: str, path: Path) -> set[str]:
    """Return the dotted names a module imports anywhere in it, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}, line {node.lineno}: imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def part_of(name: str) -> str:
    """Return the part of accelc a dotted name lies in: accelc.chip.model -> chip, accelc itself -> ''."""
    return [*name.split("."), ""][1]


def breaches(name: str, imports: set[str]) -> set[str]:
    """Return the imports that a module of that name may not make."""
    part = part_of(name)
    if part not in ALLOWED:
        return set()
    ours = {i for i in imports if i.split(".")[0] == "accelc"}
    return {i for i in ours if part_of(i) not in ALLOWED[part] | {part}}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_only_what_lies_below_it(name: str) -> None:
    imports = imported(name, MODULES[name])
    assert not breaches(name, imports)
    doubles = {i for i in imports if i.split(".")[0] in ("sim", "models")}
    assert not doubles, "sim and models are imported as accelc.sim and accelc.models"


@pytest.mark.parametrize("name", [n for n in MODULES if part_of(n) in ("chip", "isa")])
def test_chips_and_instructions_do_without_numba(name: str) -> None:
    assert not {i for i in imported(name, MODULES[name]) if i.split(".")[0] in ("numba", "llvmlite")}


@pytest.mark.parametrize("name", [n for n in MODULES if part_of(n) == "models"])
def test_models_build_on_onnx_alone(name: str) -> None:
    assert not {i for i in imported(name, MODULES[name]) if i.split(".")[0] in ("torch", "onnxruntime", "numba")}


def test_the_rule_itself_catches_what_it_forbids() -> None:
    assert breaches("accelc.sim.machine", {"accelc.graph.Graph", "accelc.isa", "numpy"}) == {"accelc.graph.Graph"}
    assert breaches("accelc.isa.text", {"accelc.program.Program"}) == {"accelc.program.Program"}
    assert breaches("accelc.passes.fuse", {"accelc.lower.lower", "accelc.graph.Graph"}) == {"accelc.lower.lower"}
    assert breaches("accelc.chip.model", {"accelc.load_chip"}) == {"accelc.load_chip"}
    assert not breaches("accelc.cli", {"accelc.sim.machine", "accelc.lower"})


def test_every_tree_was_read() -> None:
    assert {part_of(name) for name in MODULES} >= {"chip", "isa", "program", "sim", "models"}
