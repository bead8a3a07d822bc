"""`--mapping` and `--dump-mapping` of `compile` and `run`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import accelc as package
from tests.cli import CommandLine


@pytest.fixture
def accelc(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CommandLine:
    monkeypatch.chdir(tmp_path)
    return CommandLine(capsys, monkeypatch)


def test_a_dumped_mapping_compiles_to_the_same_file(accelc: CommandLine) -> None:
    accelc.ok("compile", "alexnet", "--tiny", "-o", "first.npu", "--dump-mapping", "chosen.toml")
    accelc.ok("compile", "alexnet", "--tiny", "-o", "again.npu", "--mapping", "chosen.toml")
    assert Path("first.npu").read_bytes() == Path("again.npu").read_bytes()
    assert "# alone " in Path("chosen.toml").read_text()


def test_a_pinned_tile_runs_and_is_reported(accelc: CommandLine) -> None:
    Path("m.toml").write_text('[layers.conv1]\nrows = 3\norder = "map"\n')
    accelc.ok("run", "alexnet", "--tiny", "--mapping", "m.toml", "--dump-mapping", "all.toml", "--json", "run.json")
    assert "rows = 3\n" in Path("all.toml").read_text()
    assert json.loads(Path("run.json").read_text())["check"]["mismatches"] == 0


def test_the_python_interface_takes_a_mapping(accelc: CommandLine) -> None:
    Path("m.toml").write_text("[layers.conv1]\nrows = 1\n")
    free, pinned = package.compile("alexnet", tiny=True), package.compile("alexnet", tiny=True, mapping="m.toml")
    assert len(pinned.words) > len(free.words)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[layers.conv9]\nrows = 1", "m.toml: layer 'conv9' is unknown; did you mean 'conv5'"),
        ("[layers.conv2]\nrows = 99", "m.toml: layer 'conv2': rows = 99: there are 3 rows of the result"),
        ("[layers.conv2]\nroofs = 9", "m.toml: layer 'conv2': unknown key 'roofs'; did you mean 'rows'?"),
        ("[layers.prob]\nhold = true", "m.toml: layer 'prob': hold = true: map 'prob' cannot be held: it is an output"),
    ],
)
def test_what_cannot_be_followed_ends_with_status_2(accelc: CommandLine, text: str, message: str) -> None:
    Path("m.toml").write_text(text)
    assert accelc.refused("compile", "alexnet", "--tiny", "--mapping", "m.toml").startswith(message)


def test_the_buffer_and_its_bytes_are_named(accelc: CommandLine) -> None:
    Path("m.toml").write_text("[layers.conv2]\nrows = 27\ncols = 27\nchannels = 256\ncut = true")
    assert accelc.refused("compile", "alexnet", "--mapping", "m.toml", "--stop-after", "schedule") == (
        "layer 'conv2' (conv, output [1, 256, 27, 27]): the pinned rows = 27, cols = 27, channels = 256 does not fit "
        "chip 'edge', all else as small as it can be: it needs 746496 bytes of acc (has 131072)"
    )


def test_the_example_of_the_page_is_followed(accelc: CommandLine) -> None:
    page = (Path(__file__).parents[1] / "docs" / "mapping.md").read_text(encoding="utf-8")
    Path("m.toml").write_text(page.split("```toml\n")[1].split("```")[0])
    accelc.ok("compile", "alexnet", "--mapping", "m.toml", "--stop-after", "schedule", "--dump-mapping", "all.toml")
    text = Path("all.toml").read_text()
    assert "rows = 7\ncols = 13\nchannels = 64\n" in text
    assert "depth = 128\n" in text
    assert "[layers.pool5]\n" in text


def test_a_program_file_is_mapped_already(accelc: CommandLine) -> None:
    accelc.ok("compile", "mlp", "--tiny", "-o", "p.npu")
    Path("m.toml").write_text("")
    assert "a program file is mapped already" in accelc.refused("run", "p.npu", "--mapping", "m.toml")


def test_a_dump_needs_a_schedule(accelc: CommandLine) -> None:
    refused = accelc.refused("compile", "mlp", "--tiny", "--stop-after", "passes", "--dump-mapping", "m.toml")
    assert refused.startswith("--dump-mapping needs the schedule")


def test_a_mapping_for_another_tool_runs(accelc: CommandLine) -> None:
    """conv3 of the tiny network: 16 channels of 3 x 3 to 24 under a 3 x 3 kernel."""
    loops = "[[OX, 3], [OY, 3], [FX, 3], [FY, 3], [K, 3]]"
    spatial = "{D1: ['K, 8'], D2: ['C, 16']}"
    Path("z.yaml").write_text(f"- name: default\n  spatial_mapping: {spatial}\n  temporal_ordering: {loops}\n")
    accelc.ok("run", "alexnet", "--tiny", "--mapping", "conv3=z.yaml", "--dump-mapping", "all.toml")
    assert "channels = 24\ndepth = 16\nkernel_rows = 3\n" in Path("all.toml").read_text()
    assert accelc.refused("compile", "alexnet", "--tiny", "--mapping", "z.yaml").startswith("z.yaml: the network has 8")
