"""Where tensors lie in memory, beside the bytes alive at once and a published allocator: into docs/allocation.md.

`python -m benchmarks.allocation [NAME ...] [--chip edge] [--tiny] [--vela PYTHON] [--output docs/allocation.md]`. A
network is scheduled in a process of its own; its lines that exist are replaced, the others stay, so that it may be run
in pieces. PYTHON is an interpreter that has the package `ethos-u-vela`; without one that column stays empty.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelc.files import atomic_write
from accelc.models import catalog

if TYPE_CHECKING:
    from accelc.schedule import Schedule
    from accelc.schedule.allocate import Life

DOCS = Path(__file__).parents[1] / "docs"
RESULTS = Path(__file__).parent / "allocation.json"
MEMORY_BYTES = 10 << 30  # a network that takes more fails with a message, not the machine
FEW = 2  # so many regions reach the bound in any order
VELA_SECONDS = 60
VELA = """
import json, sys
from types import SimpleNamespace
from ethosu.vela.hillclimb_allocation import allocate_live_ranges

spans, bound = json.load(sys.stdin)
ranges = [SimpleNamespace(size=b, start_time=f, end_time=l, get_alignment=lambda: 64) for b, f, l in spans]
offsets = allocate_live_ranges(ranges, None, bound)
json.dump(max((at + r.size for at, r in zip(offsets, ranges)), default=0), sys.stdout)
"""


def main() -> None:
    """Run the networks asked for and write the page."""
    options = _arguments()
    if options.one:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        json.dump(measure(options.one, options.chip, options.tiny), sys.stdout)
        return
    for name in () if options.page else options.names or catalog():
        key = f"{name} {options.chip} {'tiny' if options.tiny else 'full'}"
        found = [_beside(row, options.vela) for row in _scheduled(name, options)]
        print(f"{key}: {found}", file=sys.stderr, flush=True)
        atomic_write(RESULTS, _json({**_known(), key: found}).encode())
    atomic_write(options.output, page(_known()).encode())


def _known() -> dict[str, Any]:
    """Return the lines there are, read anew each time: another part of the zoo may be running beside this one."""
    rows: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    return rows


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--chip", default="edge")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--vela", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--page", action="store_true", help="write the page again, from the lines there are")
    parser.add_argument("--output", type=Path, default=DOCS / "allocation.md")
    return parser.parse_args()


def _json(rows: dict[str, Any]) -> str:
    lines = (f"{json.dumps(key)}: {json.dumps(row)}" for key, row in rows.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _scheduled(name: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the placements of one network; one that cannot be scheduled says so and has none."""
    command = [sys.executable, "-m", "benchmarks.allocation", "--one", name, "--chip", options.chip]
    done = subprocess.run([*command, *["--tiny"] * options.tiny], capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{name}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return []
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def _beside(row: dict[str, Any], python: str) -> dict[str, Any]:
    """Return a row with the bytes of Vela's search in the place of the live ranges it was given."""
    ranges = [[size, first + 1, last + 1] for size, first, last in row.pop("lives")]  # it has no moment -1
    tries = (_vela(python, [ranges, limit]) for limit in (row["bound"], sum(size for size, _, _ in ranges)))
    return {**row, "vela": next((taken for taken in tries if taken is not None), None)}


def _vela(python: str, task: list[Any]) -> int | None:
    """Return the bytes that Vela's search takes; None where it is not installed, or not done in the time it has."""
    try:
        done = subprocess.run(
            [python, "-c", VELA], input=json.dumps(task), capture_output=True, text=True, check=False,
            timeout=VELA_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None
    return None if done.returncode else int(done.stdout)


def measure(name: str, chip: str, tiny: bool) -> list[dict[str, Any]]:
    """Return what the placements of one network take, with the live ranges of each."""
    from accelc.compiler import Options, compile_stages

    schedule = compile_stages(name, chip, Options(tiny=tiny), stop_after="schedule").schedule
    assert schedule is not None
    return [_row(memory, regions, taken) for memory, regions, taken in _placed(schedule)]


def _row(memory: str, regions: Sequence[Life], taken: int) -> dict[str, Any]:
    from accelc.schedule.allocate import place

    placement = place(regions)
    spans = [(r.bytes, r.first, r.last) for r in regions]
    figures = {"bound": placement.peak_live_bytes, "ours": placement.bytes, "proved": placement.proved}
    if taken != placement.bytes:
        figures["spans"] = taken
    return {"memory": memory, "regions": len(regions), **figures, "lives": spans}


def _placed(schedule: Schedule) -> Iterator[tuple[str, list[Life], int]]:
    """Yield each memory with the regions that were placed in it and the bytes that they span."""
    from accelc.schedule.allocate import lives
    from accelc.schedule.residency import maps_of, turn_lives

    kept, timing = schedule.residency, schedule.chip.timing
    alive = lives(schedule.graph, schedule.views, [plan.stage for plan in schedule.plans])
    yield "DRAM", [life for life in alive if not kept.held(life.name)], schedule.placement.bytes
    # Bands of runs in stripes lie above the tiles of their run, not among the maps.
    bands = {name for plan in schedule.plans if plan.part is not None for name in plan.part.bands}
    places = {name: at for name, at in kept.places.items() if name not in bands}
    if places:
        frames = {name: frame for name, frame in kept.frames.items() if name in places}
        held = sorted(maps_of(frames, alive, {}), key=lambda m: m.first)
        turns = {name: kept.turns[name] for name in places}
        yield "maps", turn_lives(held, turns), timing.act_bytes - min(places.values())
    if schedule.pins.places:
        weights = list(_weights(schedule))
        yield "weights", weights, timing.wgt_bytes - min(start for _, start, _ in schedule.pins.places.values())


def _weights(schedule: Schedule) -> Iterator[Life]:
    """Yield the life of the weights pinned, from the first stage that reads them to the last."""
    from accelc.schedule.allocate import Life

    readers: dict[tuple[int, int], list[int]] = {}
    for stage, (number, _, size) in schedule.pins.places.items():
        readers.setdefault((number, size), []).append(stage)
    for (number, size), stages in readers.items():
        yield Life(str(number), size, min(stages), max(stages))


def page(rows: dict[str, Any]) -> str:
    """Return the page as Markdown."""
    return "\n".join(_lines(rows)) + "\n"


def _lines(rows: dict[str, Any]) -> Iterator[str]:
    yield from (
        "# Where tensors lie", "",
        "Written by `python -m benchmarks.allocation`: the bytes that the placements of each network span, with one",
        "offset for the whole life of a tensor, from the stage that makes it to the last that reads it.", "",
        "* *memory*: activations in DRAM; maps held in the activation buffer between stages; weights pinned in the",
        "  weight buffer between time steps.",
        "* *bound*: the most bytes alive at once, rounded up to lines of 64; no placement spans fewer.",
        "* *vela*: `hillclimb_allocation` of Arm's `ethos-u-vela` on the same live ranges, told to search for the",
        f"  bound; where that takes over {VELA_SECONDS} s, as long as it does by itself; empty where both do.",
        "* *ours*: our placement of the same live ranges. Maps that a run in stripes replaces by bands go after all",
        "  were placed, and the others stay where they are: where these then span more, a line below says so.",
        f"* Placements of {FEW} regions or fewer reach the bound in any order; they are counted in no line.", "",
    )  # fmt: skip
    yield from _summary(rows)
    head = "| network | chip | memory | regions | bound | ours | vela | ours / bound |"
    yield from ("", head, "|---|---|---|---|---|---|---|---|")
    for key in _sorted(rows):
        yield from (_line(key, row) for row in rows[key] if row["regions"] > FEW)
    yield ""
    for key in _sorted(rows):
        yield from (
            f"* `{key.split()[0]}`: without what stripes replaced, its {row['memory']} span {row['spans']} bytes."
            for row in rows[key]
            if "spans" in row
        )


def _sorted(rows: dict[str, Any]) -> list[str]:
    order = list(catalog())
    return sorted(rows, key=lambda key: (key.split()[2], key.split()[1], order.index(key.split()[0])))


def _summary(rows: dict[str, Any]) -> Iterator[str]:
    """Yield for each size of network and each memory how often the bound is reached, and Vela's figure beside it."""
    yield from (
        "| networks | chip | memory | placements | at the bound | proved least | under vela | over vela |",
        "|---|---|---|---|---|---|---|---|",
    )
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for key in _sorted(rows):
        _, chip, size = key.split()
        for row in rows[key]:
            if row["regions"] > FEW:
                groups.setdefault((size, chip, row["memory"]), []).append(row)
    for (size, chip, memory), found in groups.items():
        cells = (size, f"`{chip}`", memory, len(found), *_counts(found))
        yield f"| {' | '.join(map(str, cells))} |"


def _counts(rows: Iterable[dict[str, Any]]) -> tuple[int, ...]:
    rows = list(rows)
    compared = [row for row in rows if row["vela"] is not None]
    tests = (
        (row["ours"] == row["bound"] for row in rows),
        (row["proved"] for row in rows),
        (row["ours"] < row["vela"] for row in compared),
        (row["ours"] > row["vela"] for row in compared),
    )
    return tuple(map(sum, tests))


def _line(key: str, row: dict[str, Any]) -> str:
    name, chip, size = key.split()
    vela = "" if row["vela"] is None else f"{row['vela']:,}"
    figures = (f"{row['regions']:,}", f"{row['bound']:,}", f"{row['ours']:,}", vela)
    ratio = f"{row['ours'] / row['bound']:.4f}" if row["bound"] else "1.0000"
    least = "" if row["ours"] == row["bound"] or not row["proved"] else ", proved least"
    cells = (name if size == "full" else f"{name} (tiny)", chip, row["memory"], *figures, ratio + least)
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
