"""The command line as a test calls it: in this process, with what it printed and its exit status."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import pytest

from accelc.cli import main


@dataclass(frozen=True)
class Finished:
    """A command's exit status and output."""

    status: int
    out: str
    err: str


@dataclass(frozen=True)
class CommandLine:
    """`accelc ARGS...`."""

    capsys: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch

    def __call__(self, *args: object) -> Finished:
        self.monkeypatch.setattr(sys, "argv", ["accelc", *map(str, args)])
        with pytest.raises(SystemExit) as stop:
            main()
        printed = self.capsys.readouterr()
        return Finished(int(stop.value.code or 0), printed.out, printed.err)

    def ok(self, *args: object) -> str:
        """Run a command that must succeed; return what it printed."""
        finished = self(*args)
        assert finished.status == 0, finished.err or finished.out
        return finished.out

    def refused(self, *args: object) -> str:
        """Run a command that must end with status 2 and one line; return the line."""
        finished = self(*args)
        assert finished.status == 2, finished
        assert finished.err.startswith("error: ")
        assert finished.err.count("\n") == 1, finished.err
        assert "Traceback" not in finished.err
        return finished.err.removeprefix("error: ").rstrip("\n")
