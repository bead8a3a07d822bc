"""The ratios of every run of the benchmarks, and what has become worse beyond noise.

`python -m benchmarks` appends a line of JSON to benchmarks/history.jsonl: ratios by name (lower is better), commit,
processor, versions. This command holds the last line against the earlier ones of the same processor: a ratio has
become worse if it lies above their median by more than three times their spread (the median distance from the median),
and by a tenth at least. With fewer than three earlier lines nothing is judged. The exit status is 1 if any has.

Run: python -m benchmarks.history [--file FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.speed import text_table

FILE = Path(__file__).parent / "history.jsonl"
FEWEST = 3
LEAST = 0.1
SPREADS = 3.0


@dataclass(frozen=True)
class Entry:
    """One run of the benchmarks; `ratios` have no unit, lower is better."""

    commit: str
    machine: Mapping[str, str]
    ratios: Mapping[str, float]


@dataclass(frozen=True)
class Verdict:
    """A ratio beside the earlier ones: their median, the highest that is noise, and whether it is above that."""

    name: str
    now: float
    median: float | None
    limit: float | None

    @property
    def worse(self) -> bool:
        """Return whether the ratio is above what noise explains."""
        return self.limit is not None and self.now > self.limit


def commit() -> str:
    """Return the commit that is measured, with a plus if files differ from it; "?" outside a repository."""
    command = ["git", "-C", str(FILE.parent), "describe", "--always", "--dirty=+", "--abbrev=12"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "?"


def append(entry: Entry, path: Path = FILE) -> None:
    """Add a line."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(entry), sort_keys=True) + "\n")


def read(path: Path = FILE) -> list[Entry]:
    """Return the entries, oldest first."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [Entry(**json.loads(line)) for line in lines if line.strip()]


def judge(entries: Sequence[Entry]) -> list[Verdict]:
    """Return the last entry's ratios beside those of the entries before it on the same processor."""
    if not entries:
        return []
    *earlier, last = entries
    alike = [entry.ratios for entry in earlier if entry.machine.get("cpu") == last.machine.get("cpu")]
    return [_verdict(name, now, [r[name] for r in alike if name in r]) for name, now in last.ratios.items()]


def _verdict(name: str, now: float, before: Sequence[float]) -> Verdict:
    if len(before) < FEWEST:
        return Verdict(name, now, None, None)
    median = statistics.median(before)
    spread = statistics.median(abs(value - median) for value in before)
    return Verdict(name, now, median, median + max(SPREADS * spread, LEAST * median))


def table(verdicts: Sequence[Verdict]) -> list[list[str]]:
    """Return the rows of a table."""
    rows = [["ratio", "now", "median before", "noise up to", ""]]
    for v in verdicts:
        known = [f"{value:.3g}" if value is not None else "" for value in (v.median, v.limit)]
        rows.append([v.name, f"{v.now:.3g}", *known, "worse" if v.worse else ""])
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    """Print the last entry beside the earlier ones; return 1 if a ratio has become worse."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--file", type=Path, default=FILE)
    entries = read(parser.parse_args(argv).file)
    verdicts = judge(entries)
    if not verdicts:
        print("there are no entries; `python -m benchmarks` makes one")
        return 0
    print(f"{entries[-1].commit}, {entries[-1].machine.get('cpu', 'unknown processor')}")
    print(text_table(table(verdicts)))
    return int(any(v.worse for v in verdicts))


if __name__ == "__main__":
    raise SystemExit(main())
