"""What a run will take is told before it starts: from counted work, near what it then holds, and only if it is long."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from accelc.compiler import Options, compile_stages
from accelc.estimate import LONG_SECONDS, Estimate, estimate
from accelc.run import run_compiled
from tests.cli import CommandLine

ROOT = Path(__file__).parents[1]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}

MEASURED = """
import json, re, sys
from pathlib import Path
from accelc.compiler import Options, compile_stages
from accelc.estimate import estimate
from accelc.run import run_compiled
compiled = compile_stages(sys.argv[1], "edge", Options(batch=int(sys.argv[2])))
run_compiled(compiled)
# Not ru_maxrss, which starts with that of the process that forked this one.
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]
print(json.dumps([estimate(compiled.graph).memory_bytes, 1024 * int(peak)]))
"""


def estimated(name: str, batch: int = 1, **options: object) -> Estimate:
    done = compile_stages(name, "edge", Options(tiny=True, batch=batch), stop_after="passes")
    assert done.graph is not None
    return estimate(done.graph, **options)  # type: ignore[arg-type]


def test_the_work_is_that_of_the_run() -> None:
    run = run_compiled(compile_stages("alexnet", "edge", Options(tiny=True)), values=False)
    assert estimated("alexnet").macs == run.result.macs > 0


def test_more_work_takes_longer_and_less_is_asked_of_a_lesser_run() -> None:
    one, four = estimated("alexnet"), estimated("alexnet", 4)
    assert four.macs == 4 * one.macs
    assert four.weights == one.weights
    assert four.seconds > one.seconds
    assert four.memory_bytes > one.memory_bytes
    whole, unchecked, timed = (
        estimated("alexnet", 4, values=v, oracle=o) for v, o in ((True, "reference"), (True, "none"), (False, "none"))
    )
    assert whole.seconds > unchecked.seconds > timed.seconds


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read from /proc")
@pytest.mark.parametrize(("name", "batch"), [("alexnet", 1), ("resnet18", 8)])
def test_the_memory_is_near_what_the_run_takes(name: str, batch: int) -> None:
    """Weights decide the first, activations the second; the figure is to be trusted within a factor of two."""
    command = [sys.executable, "-c", MEASURED, name, str(batch)]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=True)
    told, taken = json.loads(done.stdout)
    assert taken / 2 < told < taken * 2


def test_short_work_is_not_announced(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert estimated("mlp").seconds < LONG_SECONDS
    finished = CommandLine(capsys, monkeypatch)("run", "mlp", "--tiny")
    assert (finished.status, finished.err) == (0, "")


def test_long_work_is_announced_and_an_interrupt_ends_it_cleanly(tmp_path: Path) -> None:
    """The estimate comes before the work it speaks of; an interrupt leaves no file, no traceback and status 130."""
    command = [sys.executable, "-m", "accelc", "run", "vgg16", "--trace", "t.json", "--json", "r.json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, cwd=tmp_path
    ) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, rest = process.communicate()
    assert re.fullmatch(r"vgg16: about \d+ s and [\d.]+ GiB of memory \(15\.\d G .*, 138\.\d M weights\)\n", line)
    assert (process.returncode, out, rest) == (130, "", "")
    assert not list(tmp_path.iterdir())


def test_long_steps_tell_how_far_they_are() -> None:
    told: list[str] = []
    run_compiled(compile_stages("alexnet", "edge", Options(tiny=True), progress=told.append), progress=told.append)
    assert [step for step in told if step.startswith("quantize")] == [
        "quantize",
        *(f"quantize: calibration sample {k}" for k in (1, 2, 3, 4)),
    ]
    compared = [step for step in told if step.startswith("compared")]
    assert compared[-1].startswith(f"compared {len(compared)} of {len(compared)} tensors")
