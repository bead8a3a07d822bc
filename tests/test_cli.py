"""The command line: each command does what its help says, and bad input gets one message and status 2."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from accelc.errors import ModelError, ProgramError
from accelc.files import read_arrays, write_arrays
from accelc.program import Program
from accelc.reference.row_runs import Piece
from tests.cli import CommandLine
from tests.onnx_build import model, node
from tests.quant_build import quantized, residual


@pytest.fixture
def accelc(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CommandLine:
    monkeypatch.chdir(tmp_path)
    return CommandLine(capsys, monkeypatch)


def small(batch: int | str = 1) -> onnx.ModelProto:
    """Return a convolution, a pooling and a matrix product: x (batch,3,8,8) to y (batch,5)."""
    rng = np.random.default_rng(0)
    constants = {
        "w": rng.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "v": rng.normal(size=(4, 5)).astype(np.float32),
    }
    nodes = [
        node("Conv", "x w", "a", pads=[1, 1, 1, 1]),
        node("Relu", "a", "b"),
        node("GlobalAveragePool", "b", "c"),
        node("Flatten", "c", "d"),
        node("MatMul", "d v", "y"),
    ]
    return model(nodes, {"x": [batch, 3, 8, 8]}, constants=constants)


@pytest.fixture
def net(accelc: CommandLine) -> Path:
    onnx.save(small(), "net.onnx")
    return Path("net.onnx")


def test_run_prints_a_table_and_writes_json_and_outputs(accelc: CommandLine, net: Path) -> None:
    out = accelc.ok("run", net, "--json", "run.json", "--outputs", "out.npz")
    found = json.loads(Path("run.json").read_text())
    assert f"{found['cycles']:,} cycles" in out
    assert found["check"]["oracle"] == "reference"
    assert found["check"]["mismatches"] == 0
    assert found["check"]["elements"] > 0
    assert found["cycles"] >= found["lower_bound_cycles"] > 0
    assert sum(found["stalls"].values()) == found["cycles"]
    assert sum(layer["cycles"] for layer in found["layers"]) == found["cycles"]
    assert found["macs"] == 4 * 27 * 64 + 20
    assert {"conv_a", "matmul_y"} <= {name for layer in found["layers"] for name in layer["source"]}
    assert read_arrays("out.npz")["y"].shape == (1, 5)


def test_the_trace_has_a_track_per_queue_and_slices_named_by_layer(accelc: CommandLine, net: Path) -> None:
    accelc.ok("run", net, "--trace", "trace.json", "--json", "run.json")
    events = json.loads(Path("trace.json").read_text())["traceEvents"]
    tracks = {e["args"]["name"] for e in events if e["name"] == "thread_name"}
    assert {"LOAD", "STORE", "MAC", "VECTOR"} <= {name.upper() for name in tracks}
    slices = [e for e in events if e["ph"] == "X"]
    assert any("conv_a" in e["name"] and "load" in e["name"] for e in slices)
    found = json.loads(Path("run.json").read_text())
    assert max(e["ts"] + e["dur"] for e in slices) == pytest.approx(found["seconds"] * 1e6)


def test_the_same_command_twice_gives_the_same_bytes(accelc: CommandLine, net: Path) -> None:
    for k in "ab":
        accelc.ok("compile", net, "-o", f"{k}.npu")
        accelc.ok("run", net, "--json", f"{k}.json", "--outputs", f"{k}.npz")
    for kind in ("npu", "json", "npz"):
        assert Path(f"a.{kind}").read_bytes() == Path(f"b.{kind}").read_bytes()


def test_a_program_file_gives_the_figures_and_values_of_its_model(accelc: CommandLine, net: Path) -> None:
    accelc.ok("compile", net)
    accelc.ok("run", net, "--json", "model.json", "--outputs", "model.npz")
    out = accelc.ok("run", "net.npu", "--json", "program.json", "--outputs", "program.npz")
    of_model, of_program = (json.loads(Path(f"{k}.json").read_text()) for k in ("model", "program"))
    for key in ("cycles", "energy_j", "stalls", "layers", "lower_bound_cycles"):
        assert of_model[key] == of_program[key]
    assert of_program["check"]["oracle"] == "none"
    assert "no graph" in out
    np.testing.assert_array_equal(read_arrays("model.npz")["y"], read_arrays("program.npz")["y"])


def test_timing_alone_gives_the_same_figures_without_values(accelc: CommandLine, net: Path) -> None:
    accelc.ok("run", net, "--json", "values.json")
    accelc.ok("run", net, "--json", "timing.json", "--timing-only")
    values, timing = (json.loads(Path(f"{k}.json").read_text()) for k in ("values", "timing"))
    for key in ("cycles", "energy_j", "stalls", "dram_bytes"):
        assert values[key] == timing[key]
    assert timing["check"]["oracle"] == "none"
    assert "--timing-only" in accelc.refused("run", net, "--timing-only", "--outputs", "y.npz")
    assert "--timing-only" in accelc.refused("run", net, "--timing-only", "--check", "reference")


def test_disasm_and_asm_give_the_same_file(accelc: CommandLine, net: Path) -> None:
    accelc.ok("compile", net, "-o", "a.npu")
    accelc.ok("disasm", "a.npu", "-o", "a.s")
    accelc.ok("asm", "a.s", "-o", "b.npu")
    assert Path("a.npu").read_bytes() == Path("b.npu").read_bytes()
    assert accelc.ok("disasm", "a.npu") == Path("a.s").read_text()
    assert '"conv_a"' in accelc.ok("disasm", "a.npu", "--code-only")
    assert "correct" in accelc.ok("verify", "a.npu")


@pytest.mark.parametrize(
    ("stage", "sign"),
    [("import", "relu"), ("passes", "conv"), ("quantize", "zero_point"), ("schedule", "predicted"), ("lower", "load ")],
)
def test_every_stage_can_be_printed(accelc: CommandLine, net: Path, stage: str, sign: str) -> None:
    assert sign in accelc.ok("compile", net, "--stop-after", stage)
    assert not Path("net.npu").exists()


def test_a_literal_run_has_the_cycles_of_a_fast_one(accelc: CommandLine, net: Path) -> None:
    """The literal array's outputs and cycles are those of the closed forms; without values it has nothing to move."""
    accelc.ok("run", net, "--json", "fast.json", "--outputs", "fast.npz")
    accelc.ok("run", net, "--fidelity", "literal", "--json", "literal.json", "--outputs", "literal.npz")
    fast, literal = (json.loads(Path(f"{name}.json").read_text()) for name in ("fast", "literal"))
    assert fast["cycles"] == literal["cycles"]
    assert literal["check"]["mismatches"] == 0
    for name, values in np.load("fast.npz").items():
        np.testing.assert_array_equal(values, np.load("literal.npz")[name])
    assert "cannot run for timing only" in accelc.refused("run", net, "--fidelity", "literal", "--timing-only")
    assert "fidelity 'exact' is unknown; what works: fast, literal" in accelc.refused("run", net, "--fidelity", "exact")


def test_verify_finds_a_missing_token(accelc: CommandLine, net: Path) -> None:
    """A convolution that no longer waits for its weights is named, although its values would still be right."""
    accelc.ok("compile", net, "-o", "a.npu")
    text = accelc.ok("disasm", "a.npu")
    line = next(line for line in text.splitlines() if line.strip().startswith("conv ") and "wait" in line)
    broken = re.sub(r" \[wait [^]]*\]", "", line)
    Path("b.s").write_text(text.replace(line, broken, 1))
    accelc.ok("asm", "b.s", "-o", "b.npu")
    assert "conv" in accelc.refused("verify", "b.npu")


def test_given_inputs_are_used_and_seeds_differ(accelc: CommandLine, net: Path) -> None:
    def outputs(*args: object) -> list[float]:
        accelc.ok("run", net, "--outputs", "y.npz", *args)
        return read_arrays("y.npz")["y"].ravel().tolist()

    write_arrays("x.npz", {"x": np.zeros((1, 3, 8, 8), np.float32)})
    assert not any(outputs("--input", "x.npz"))
    write_arrays("calib.npz", {"x": np.random.default_rng(1).normal(size=(3, 3, 8, 8)).astype(np.float32)})
    one = ("--input", "x.npz", "--calib", "calib.npz")
    assert outputs(*one, "--seed", 1) == outputs(*one, "--seed", 2)
    assert outputs("--calib", "calib.npz", "--seed", 1) != outputs("--calib", "calib.npz", "--seed", 2)


def test_ort_is_asked_and_agrees(accelc: CommandLine, net: Path) -> None:
    assert ", 0 differ (onnxruntime" in accelc.ok("run", net, "--check", "ort", "--activations", "int8")


@pytest.mark.parametrize("operators", [True, False], ids=["qoperator", "qdq"])
def test_a_quantized_model_is_judged_in_its_integer_form(accelc: CommandLine, tmp_path: Path, operators: bool) -> None:
    onnx.save(quantized(residual(), tmp_path, operators), "quantized.onnx")
    out = accelc.ok("run", "quantized.onnx", "--check", "ort", "--json", "run.json")
    found = json.loads(Path("run.json").read_text())
    assert found["check"]["mismatches"] == 0
    assert found["accuracy"] is None, "a quantized model has no float form to be compared with"
    levels = [distance["source"].split(", ")[-1] for distance in found["check"]["distances"]]
    assert levels == ([] if operators else ["disable", "enable"])
    assert ("told, not judged" in out) is not operators


def test_a_failed_check_ends_with_status_1_and_names_the_tensor(
    accelc: CommandLine, net: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from accelc import check

    true = check.reference_pieces

    def off_by_two(*args: object, **options: object) -> Iterator[Piece]:
        for piece in true(*args, **options):
            yield replace(piece, value=piece.value ^ 2) if piece.name == "y" else piece

    monkeypatch.setattr(check, "reference_pieces", off_by_two)
    finished = accelc("run", net, "--json", "run.json")
    assert finished.status == 1
    assert "y: 5 of 5 differ" in finished.out
    result = json.loads(Path("run.json").read_text())["check"]
    assert (result["mismatches"], result["max_lsb"]) == (5, 2)


def test_activity_is_counted_on_any_chip_when_asked_for(accelc: CommandLine, net: Path) -> None:
    out = accelc.ok("run", net, "--activity", "--json", "run.json")
    assert "of products zero" in out
    held = json.loads(Path("run.json").read_text())["activity"]
    assert held["zero_macs"] <= held["macs"]
    assert set(held["raw_bytes"]) == set(held["encoded_bytes"]) == {"read", "write"}
    refused = accelc("run", net, "--activity", "--timing-only")
    assert refused.status == 2
    assert "activity is counted from values" in refused.err


def test_the_zoo_and_the_chips_are_listed_exported_and_described(accelc: CommandLine) -> None:
    assert "resnet50" in accelc.ok("models", "--json", "models.json")
    rows = {row["name"]: row for row in json.loads(Path("models.json").read_text())}
    assert set(rows["alexnet"]) == {"name", "family", "params", "macs", "source"}
    assert "Krizhevsky" in accelc.ok("models", "alexnet")
    accelc.ok("export", "mlp", "--tiny", "-o", "mlp.onnx")
    onnx.checker.check_model("mlp.onnx")
    assert "edge" in accelc.ok("chips", "--json", "chips.json")
    assert {chip["name"] for chip in json.loads(Path("chips.json").read_text())} >= {"edge", "gemmini"}
    page = accelc.ok("chips", "edge")
    assert "JESD209-4" in page
    assert "| `mac` |" in page, "every energy figure is on the chip's page"
    assert "| act buffer | 524288 |" in page
    assert "## conv" in accelc.ok("isa") or "`conv`" in accelc.ok("isa")


def test_an_open_dimension_is_set_by_dim_and_the_batch_is_1(accelc: CommandLine) -> None:
    onnx.save(small("N"), "batch.onnx")
    accelc.ok("run", "batch.onnx", "--json", "one.json")
    accelc.ok("run", "batch.onnx", "--dim", "N=3", "--json", "three.json")
    assert [json.loads(Path(f"{k}.json").read_text())["batch"] for k in ("one", "three")] == [1, 3]
    assert "no open dimension 'M'" in accelc.refused("run", "batch.onnx", "--dim", "M=3")
    assert "NAME=N" in accelc.refused("run", "batch.onnx", "--dim", "N")


def test_host_work_is_refused_or_priced_and_listed(accelc: CommandLine) -> None:
    nodes = [node("Relu", "x", "a"), node("DFT", "a", "y", axis=1)]
    proto = model(nodes, {"x": [1, 4, 1]}, opset=17, out_shape=[1, 4, 2])
    onnx.save(proto, "dft.onnx")
    message = accelc.refused("run", "dft.onnx")
    assert "node 'dft_y' (DFT)" in message
    assert "--allow-host" in message
    accelc.ok("run", "dft.onnx", "--allow-host", "--json", "run.json")
    found = json.loads(Path("run.json").read_text())
    assert [op["op"] for op in found["host_ops"]] == ["DFT"]
    assert found["stalls"]["host"] > 0
    assert found["energy_j"]["by_component"]["host"] > 0
    assert found["check"]["mismatches"] == 0


class TestBadModels:
    def test_missing(self, accelc: CommandLine) -> None:
        assert "'no/such.onnx' does not exist" in accelc.refused("run", "no/such.onnx")
        assert "did you mean resnet50 or" in accelc.refused("run", "resnet-50")

    def test_not_onnx(self, accelc: CommandLine) -> None:
        Path("text.onnx").write_text("this is not a model")
        assert "'text.onnx' is not" in accelc.refused("compile", "text.onnx")
        Path("empty.onnx").write_bytes(b"")
        assert "'empty.onnx' is not" in accelc.refused("compile", "empty.onnx")
        Path("folder").mkdir()
        assert "folder" in accelc.refused("compile", "folder")

    def test_truncated(self, accelc: CommandLine, net: Path) -> None:
        Path("cut.onnx").write_bytes(net.read_bytes()[:-40])
        assert "'cut.onnx'" in accelc.refused("compile", "cut.onnx")

    def test_checker(self, accelc: CommandLine) -> None:
        proto = small()
        proto.graph.node[1].input[0] = "nowhere"
        onnx.save(proto, "bad.onnx")
        assert "not a valid ONNX model" in accelc.refused("compile", "bad.onnx")

    def test_missing_external_data(self, accelc: CommandLine) -> None:
        options = {"save_as_external_data": True, "location": "weights.bin", "size_threshold": 0}
        onnx.save(small(), "external.onnx", **options)
        accelc.ok("compile", "external.onnx")
        Path("weights.bin").unlink()
        assert "'weights.bin'" in accelc.refused("compile", "external.onnx")

    def test_dynamic_shape(self, accelc: CommandLine) -> None:
        onnx.save(model([node("Relu", "x")], {"x": [1, 3, "height", 8]}), "dynamic.onnx")
        assert "--dim height=" in accelc.refused("compile", "dynamic.onnx")
        accelc.ok("compile", "dynamic.onnx", "--dim", "height=6")

    def test_nan_in_weights(self, accelc: CommandLine) -> None:
        proto = small()
        weights = numpy_helper.to_array(proto.graph.initializer[0]).copy()
        weights[0, 0, 0, 0] = np.nan
        proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, "w"))
        onnx.save(proto, "nan.onnx")
        assert "'w'" in accelc.refused("compile", "nan.onnx")

    def test_unsupported_attribute(self, accelc: CommandLine) -> None:
        pads = {"p": np.int64([0, 0, 1, 1] * 2)}
        proto = model([node("Pad", "x p", mode="mirror")], {"x": [1, 2, 4, 4]}, constants=pads)
        onnx.save(proto, "pad.onnx")
        message = accelc.refused("compile", "pad.onnx")
        assert "'pad_y' (Pad)" in message
        assert "mirror" in message
        assert "constant" in message

    def test_a_layer_that_fits_no_tile(self, accelc: CommandLine) -> None:
        onnx.save(model([node("MaxPool", "x", kernel_shape=[200, 200])], {"x": [1, 64, 200, 200]}), "wide.onnx")
        Path("small.toml").write_text(edited_chip(("bytes = 524288", "bytes = 16384")))
        message = accelc.refused("compile", "wide.onnx", "--chip", "small.toml")
        assert "'maxpool_y' (max_pool" in message
        assert "has 16384" in message


class TestBadInputs:
    @pytest.mark.parametrize(
        ("arrays", "sign"),
        [
            ({}, "'x' is missing"),
            ({"x": np.zeros((1, 3, 8, 9), np.float32)}, "shape"),
            ({"x": np.zeros((1, 3, 8, 8), np.int64)}, "int64"),
            ({"x": np.full((1, 3, 8, 8), np.nan, np.float32)}, "NaN"),
            ({"x": np.zeros((1, 3, 8, 8), np.float32), "z": np.zeros(1)}, "'z'"),
        ],
    )
    def test_wrong_arrays(self, accelc: CommandLine, net: Path, arrays: dict[str, np.ndarray], sign: str) -> None:
        write_arrays("x.npz", arrays)
        assert sign in accelc.refused("run", net, "--input", "x.npz")

    def test_wrong_files(self, accelc: CommandLine, net: Path) -> None:
        assert "absent.npz" in accelc.refused("run", net, "--input", "absent.npz")
        assert "net.onnx" in accelc.refused("run", net, "--calib", net)

    @pytest.mark.parametrize("option", ["--json", "--trace", "--outputs"])
    def test_unwritable_output(self, accelc: CommandLine, net: Path, option: str) -> None:
        assert "cannot write 'none/out'" in accelc.refused("run", net, option, "none/out")
        assert "cannot write 'none/out'" in accelc.refused("compile", net, "-o", "none/out")

    def test_usage(self, accelc: CommandLine, net: Path) -> None:
        for args in (["run"], ["fly"], *(["run", net, option] for option in ("--check=magic", "--what", "--seed=-1"))):
            finished = accelc(*args)
            assert finished.status == 2, args
            assert "Traceback" not in finished.err


def edited_chip(*edits: tuple[str, str]) -> str:
    """Return the TOML of the edge chip with some texts replaced."""
    from importlib import resources

    text = (resources.files("accelc.chip") / "edge.toml").read_text(encoding="utf-8")
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    return text


class TestBadChips:
    @pytest.mark.parametrize(
        ("old", "new", "sign"),
        [
            ("rows = 32", "rows = 32\ncolour = 1", "unknown key 'array.colour'"),
            ("clock_mhz = 1000\n", "", "missing key 'clock_mhz'"),
            ("rows = 32", "rows = 0", "array.rows=0"),
            ("rows = 32", "rows = ", "not TOML"),
            ('energy = "16nm"', 'energy = "17nm"', "17nm"),
        ],
    )
    def test_values(self, accelc: CommandLine, net: Path, old: str, new: str, sign: str) -> None:
        Path("chip.toml").write_text(edited_chip((old, new)))
        assert sign in accelc.refused("run", net, "--chip", "chip.toml")

    def test_unknown(self, accelc: CommandLine, net: Path) -> None:
        assert "shipped chip (cambricon, " in accelc.refused("run", net, "--chip", "tpu9")

    def test_a_program_for_another_chip(self, accelc: CommandLine, net: Path) -> None:
        accelc.ok("compile", net)
        assert "compiled for chip 'edge'" in accelc.refused("run", "net.npu", "--chip", "gemmini")

    def test_a_program_for_a_chip_of_ones_own_needs_no_chip_file(self, accelc: CommandLine, net: Path) -> None:
        edits = (("clock_mhz = 1000\n", "clock_mhz = 500\n"), ('name = "edge"', 'name = "own"'))
        Path("own.toml").write_text(edited_chip(*edits))
        accelc.ok("compile", net, "--chip", "own.toml")
        Path("own.toml").unlink()
        assert "on own" in accelc.ok("run", "net.npu")


class TestBadPrograms:
    def test_damage(self, accelc: CommandLine, net: Path) -> None:
        accelc.ok("compile", net)
        whole = Path("net.npu").read_bytes()
        for at in range(0, len(whole), max(len(whole) // 40, 1)):
            Path("bad.npu").write_bytes(whole[:at])
            accelc.refused("run", "bad.npu")
            flipped = bytearray(whole)
            flipped[at] ^= 0x41
            Path("bad.npu").write_bytes(flipped)
            with pytest.raises(ProgramError):
                Program.load("bad.npu")

    def test_commands(self, accelc: CommandLine, net: Path) -> None:
        for command in ("run", "disasm", "verify"):
            assert "absent.npu" in accelc.refused(command, "absent.npu")
        assert "net.onnx" in accelc.refused("verify", net)
        assert "line 1" in accelc.refused("asm", write("bad.s", "frobnicate x=1\n"))
        assert "absent.s" in accelc.refused("asm", "absent.s")
        accelc.ok("compile", net)
        assert "does not hold its graph" in accelc.refused("run", "net.npu", "--check", "ort")


def write(name: str, text: str) -> Path:
    path = Path(name)
    path.write_text(text)
    return path


def test_an_interrupt_ends_with_130_and_leaves_no_file(
    accelc: CommandLine, net: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("accelc.compiler.schedule", interrupted)
    finished = accelc("compile", net, "-o", "out.npu")
    assert finished.status == 130
    assert "Traceback" not in finished.err
    assert sorted(p.name for p in Path().iterdir()) == ["net.onnx"]


def test_python_m_accelc_is_the_command_line() -> None:
    done = subprocess.run([sys.executable, "-m", "accelc", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("accelc ")
    failed = subprocess.run([sys.executable, "-m", "accelc", "run", "no.onnx"], capture_output=True, text=True)
    assert (failed.returncode, failed.stderr) == (2, "error: 'no.onnx' does not exist or is not a file\n")


def test_an_initializer_of_strings_is_refused_not_crashed_on(accelc: CommandLine) -> None:
    text = helper.make_tensor("w", TensorProto.STRING, [1], [b"a"])
    graph = helper.make_graph(
        [helper.make_node("Identity", ["w"], ["y"])], "g", [],
        [helper.make_tensor_value_info("y", TensorProto.STRING, [1])], [text],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), "text.onnx")
    accelc.refused("run", "text.onnx")


def test_python_and_command_line_give_the_same(accelc: CommandLine, net: Path) -> None:
    import accelc as package

    accelc.ok("run", net, "--json", "run.json", "--outputs", "y.npz", "--seed", 5)
    found = json.loads(Path("run.json").read_text())
    run = package.compile(net, seed=5).run(seed=5)
    assert run.cycles == found["cycles"]
    assert run.seconds == found["seconds"]
    assert run.energy_j == found["energy_j"]["total"]
    np.testing.assert_array_equal(run.outputs["y"], read_arrays("y.npz")["y"])
    assert f"{run.cycles:,} cycles" in run.report()
    assert package.compile(small()).run(values=False).outputs == {}
    with pytest.raises(ModelError):
        package.compile("no.onnx")


def test_a_reader_that_leaves_early_is_no_error(accelc: CommandLine, net: Path) -> None:
    """`accelc disasm F.npu | head` ends in silence, as other programs do."""
    accelc.ok("compile", net, "-o", "net.npu")
    reads, writes = os.pipe()
    os.close(reads)  # as early as can be
    command = [sys.executable, "-m", "accelc", "disasm", "net.npu"]
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(command, stdout=writes, stderr=subprocess.PIPE, text=True, env=env, check=False)
    os.close(writes)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize(
    "words",
    [
        ("run", "NET", "--json", "/dev/full"),
        ("run", "NET", "--trace", "/dev/full"),
        ("run", "NET", "--outputs", "/dev/full"),
        ("compile", "NET", "-o", "/dev/full"),
        ("export", "mlp", "--tiny", "-o", "/dev/full"),
        ("models", "mlp", "--json", "/dev/full"),
    ],
)
def test_a_full_disk_is_one_message(accelc: CommandLine, net: Path, words: tuple[str, ...]) -> None:
    if not Path("/dev/full").is_char_device():
        pytest.skip("the system has no /dev/full")
    message = accelc.refused(*(net if word == "NET" else word for word in words))
    assert message == "cannot write '/dev/full': No space left on device"
    assert Path("/dev/full").is_char_device()
