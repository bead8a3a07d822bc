"""Generates accelc.sim.dispatch from the instruction table: `python -m accelc.sim.generate` writes the file anew."""

from __future__ import annotations

from pathlib import Path

from accelc.isa import TABLE, Instruction, Queue

HEAD = '''"""Executes decoded instructions in order; written by accelc.sim.generate from the instruction table."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelc.isa import Memory
from accelc.sim.jit import entry
{imports}

Ints = npt.NDArray[np.int64]

END, HALT, HOST, STREAM, OTHER = range(5)
MEET = 0xff  # no instruction: where threads of one run wait for each other (see accelc.sim.threads)
WIDE = ({wide})
'''
LOOP = '''

@entry
def _execute_{width}(  # noqa: C901
    opcodes: Ints,
    rows: Ints,
    reals: npt.NDArray[np.float32],
    m: Memory,
    first: int,
    last: int,
) -> tuple[int, int]:
    """Execute instructions of one width until another comes; see `execute`."""
    for i in range(first, last):
        opcode = opcodes[i]
'''
# A program is of 8-bit operands or of 16: what it does not use is not compiled.
TAIL = '''

def is_wide(opcodes: Ints) -> bool:
    """Return whether instructions work on 16-bit operands."""
    return bool(np.isin(opcodes, WIDE).any())


def execute(
    opcodes: Ints,
    rows: Ints,
    reals: npt.NDArray[np.float32],
    m: Memory,
    first: int,
    last: int,
    wide: bool | None = None,
) -> tuple[int, int]:
    """Execute instructions first to last - 1 until one ends or leaves the loop; return why, and its index.

    `wide`, the program's `is_wide`, saves finding it again. Operands and ranges are not checked here: see
    accelc.sim.bounds.
    """
    wide = is_wide(opcodes) if wide is None else wide
    while True:
        why, first = (_execute_wide if wide else _execute_narrow)(opcodes, rows, reals, m, first, last)
        if why != OTHER:
            return why, first
        wide = not wide
'''


def _leaves(one: Instruction) -> bool:
    """Return whether an instruction ends the compiled loop: the host's do, and streams, described in the header."""
    return one.queue is Queue.HOST or one.name == "stream"


def _changes_nothing(one: Instruction) -> bool:
    """Return whether an instruction only orders others, whose values come in program order."""
    return one.queue is Queue.SYNC


def source() -> str:
    """Return the text of the module."""
    acting = [one for one in TABLE.values() if not (_leaves(one) or _changes_nothing(one))]
    made = sorted(acting, key=lambda one: one.opcode)
    modules: dict[str, list[str]] = {"meet": ["meet"]}
    for one in made:
        modules.setdefault(one.action.__module__.rsplit(".", 1)[1], []).append(one.name)
    imports = "\n".join(
        f"from accelc.sim.kernels.{name} import {', '.join(sorted(names))}" for name, names in sorted(modules.items())
    )
    wide = [one for one in made if one.name.endswith("16")]
    moves = [one for one in made if one.queue in (Queue.LOAD, Queue.STORE)]
    narrow = [one for one in made if one not in wide]
    head = HEAD.format(imports=imports, wide=", ".join(f"{one.opcode:#04x}" for one in wide))
    return head + _loop("narrow", narrow) + _loop("wide", moves + wide) + TAIL


def _loop(width: str, instructions: list[Instruction]) -> str:
    body = "".join(_branch(one, "if" if k == 0 else "elif") for k, one in enumerate(instructions))
    leaving = _leaving() + "        else:\n            return OTHER, i\n"
    return LOOP.format(width=width) + body + leaving + "    return END, last\n"


def _branch(one: Instruction, word: str) -> str:
    column = {f.name: j for j, f in enumerate(one.fields)}
    real = {f.name for f in one.fields if f.operand.real}
    values = ", ".join(f"reals[i, {2 * j}]" if name in real else f"rows[i, {j}]" for name, j in column.items())
    return f"""        {word} opcode == {one.opcode:#04x}:
            {one.name}(m, {values})
"""


def _leaving() -> str:
    lines = ""
    for one in TABLE.values():
        if _leaves(one):
            lines += f"        elif opcode == {one.opcode:#04x}:\n            return {one.name.upper()}, i\n"
        elif _changes_nothing(one):
            lines += f"        elif opcode == {one.opcode:#04x}:\n            continue\n"
    return lines + "        elif opcode == MEET:\n            meet(rows[i, 0], rows[i, 1], rows[i, 2])\n"


def main() -> None:
    """Write the module beside this one."""
    (Path(__file__).parent / "dispatch.py").write_text(source(), encoding="utf-8")


if __name__ == "__main__":
    main()
