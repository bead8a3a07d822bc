"""A peer runs as a script of this folder under its own interpreter: JSON goes in, its last line of output is JSON."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def version(python: str, distribution: str) -> str:
    """Return the version of a distribution that an interpreter sees, or end with what is missing."""
    code = f"from importlib.metadata import version; print(version({distribution!r}))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False, env=_environment())
    if done.returncode:
        raise SystemExit(
            f"the package '{distribution}' is missing: make an environment of its own, `pip install {distribution}` "
            "there, and give its interpreter with --python"
        )
    return done.stdout.strip()


def ask(python: str, script: str, request: Mapping[str, Any]) -> Any:
    """Run a script of this folder on a request and return its answer, or end with the last lines of its error."""
    command = [python, str(Path(__file__).with_name(script))]
    text = json.dumps(request)
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, env=_environment())
    if done.returncode:
        raise SystemExit(f"{script} ended with status {done.returncode}:\n" + "\n".join(done.stderr.splitlines()[-12:]))
    return json.loads(done.stdout.splitlines()[-1])


def _environment() -> dict[str, str]:
    """Return this environment without the paths that would bring our packages to the peer."""
    return {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
