"""What enters and leaves walked arrays equals its plain definition."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from accelc.sim.array.edges import HISTORY, accumulate_row, align, stagger, take_bytes, widen
from accelc.sim.array.walk import STEPS
from accelc.sim.jit import entry
from accelc.sim.kernels.ir import LANES, address

Words = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]

EVERY_BYTE = np.arange(256, dtype=np.uint8)


@entry
def _stagger(words: Words, history: Bytes) -> None:
    stagger(address(words), address(history))


@entry
def _align(words: Words, history: Bytes) -> None:
    align(address(words), address(history))


@entry
def _widen(to: Words, source: Bytes, bias: int) -> None:
    widen(address(to), address(source), bias)


@entry
def _take_bytes(to: Words, source: Bytes, place: int, bias: int) -> None:
    take_bytes(address(to), address(source), place, bias)


@entry
def _accumulate_row(to: Words, source: Words, keep: int) -> None:
    accumulate_row(address(to), address(source), keep)


@pytest.mark.parametrize(("function", "delays"), [(_stagger, range(LANES)), (_align, range(LANES - 1, -1, -1))])
def test_delays(function: Callable[[Words, Bytes], None], delays: range) -> None:
    """Over many blocks of steps each column comes as many steps later as stated, zero before its first."""
    rng, blocks = np.random.default_rng(0), 5
    words = rng.integers(-(1 << 31), 1 << 31, (blocks * STEPS, LANES)).astype(np.int32)
    late = np.zeros_like(words)
    for c, delay in enumerate(delays):
        late[delay:, c] = words[: len(words) - delay, c]
    history = np.zeros(HISTORY, np.uint8)
    for first in range(0, len(words), STEPS):
        function(words[first : first + STEPS], history)
    np.testing.assert_array_equal(words, late)


@pytest.mark.parametrize(("kind", "bias"), [(np.uint8, 0), (np.int8, 128)])
def test_widen(kind: type[np.integer], bias: int) -> None:
    """Every byte, signed and not."""
    to = np.empty(LANES, np.int32)
    for source in EVERY_BYTE.reshape(-1, LANES):
        _widen(to, source, bias)
        np.testing.assert_array_equal(to, source.view(kind))


@pytest.mark.parametrize(("kind", "bias"), [(np.uint8, 0), (np.int8, 128)])
@pytest.mark.parametrize("place", range(4))
def test_take_bytes(place: int, kind: type[np.integer], bias: int) -> None:
    """Every byte at each place of a word, signed and not; the upper half is zero."""
    to = np.empty(LANES, np.int32)
    for source in EVERY_BYTE.reshape(-1, 4 * LANES):
        _take_bytes(to, source, place, bias)
        np.testing.assert_array_equal(to, source.view(kind)[place::4].astype(np.int32) & 0xFFFF)


@pytest.mark.parametrize("keep", [0, -1])
def test_accumulate_row(keep: int) -> None:
    """Sums replace others or are added to them, wrapping."""
    rng = np.random.default_rng(1)
    to, more = rng.choice(np.array([1, -1, (1 << 31) - 1, -(1 << 31)], np.int32), (2, LANES))
    expected = more + (to if keep else 0)
    _accumulate_row(to, more, keep)
    np.testing.assert_array_equal(to, expected)
