"""Compilation with Numba: how kernels are made and where compiled code is kept between processes.

Compiled code is kept in a folder named after everything it depends on: the sources, Numba's version, the
processor's features and Numba's settings in the environment. Each file has a checksum beside it; a damaged file is
removed and made again, and so is one that another process has written but not yet summed. Where no folder can be
written, code is compiled in each process.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any, TypeVar

import llvmlite.binding as llvm
import numba

from accelc.caches import writable_folder

typeof: Callable[[Any], Any] = numba.typeof
settings: Any = numba.config

F = TypeVar("F", bound=Callable[..., Any])

PACKAGE = Path(__file__).parent
SOURCES = (PACKAGE,)
PLACES = ("NUMBA_CACHE_DIR",)  # of the environment's settings, those that leave the code as it is
CLOSED = "accelc.isa."
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "boundscheck": False}


def kernel(function: F) -> F:
    """Compile a function for use inside an entry point; IEEE arithmetic, no contraction, no bounds checks.

    Plain functions of `accelc.isa` that it calls by name (closed forms) are compiled too.
    """
    made: F = _kernel(function)
    return made


def step(function: F) -> F:
    """Compile like `kernel`, but into its callers, and count no references: a call may cost more than what it does.

    The function makes no array, nor a part of one, and keeps none.
    """
    options: dict[str, Any] = {"_nrt": False, "forceinline": True, **OPTIONS}
    made: F = numba.njit(**options)(function)
    return made


@functools.cache
def _kernel(function: Callable[..., Any]) -> Any:
    return numba.njit(**OPTIONS)(_linked(function))


def _linked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function with the plain functions of `accelc.isa` that it calls replaced by compiled ones."""
    called = {name: function.__globals__.get(name) for name in function.__code__.co_names}
    plain = {name: f for name, f in called.items() if isinstance(f, FunctionType) and f.__module__.startswith(CLOSED)}
    if not plain:
        return function
    scope = {**function.__globals__, **{name: kernel(f) for name, f in plain.items()}}
    made = FunctionType(function.__code__, scope, function.__name__, function.__defaults__, function.__closure__)
    return functools.update_wrapper(made, function)


def entry(function: Callable[..., Any]) -> Entry:
    """Compile a function that Python calls, and keep its code between processes."""
    return Entry(function)


class Entry:
    """A compiled function that Python calls; compiled or loaded at the first call, for those arguments' types."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._compiled: Callable[..., Any] | None = None

    def __call__(self, *args: Any) -> Any:
        """Call the function."""
        if self._compiled is None:
            self._compiled = _compile(self._function, args)
        return self._compiled(*args)


def _compile(function: Callable[..., Any], args: tuple[Any, ...]) -> Callable[..., Any]:
    types = tuple(typeof(a) for a in args)
    folder = cache_folder()
    if folder is not None:
        try:
            return _compile_cached(function, types, folder)
        except Exception:  # an unreadable cache raises whatever unpickling raises; a real error comes again below
            _remove(folder, keep_sound=False)
    dispatcher = numba.njit(**OPTIONS)(function)
    dispatcher.compile(types)
    return dispatcher  # type: ignore[no-any-return]


def _compile_cached(function: Callable[..., Any], types: tuple[Any, ...], folder: Path) -> Callable[..., Any]:
    dispatcher = _with_folder(function, folder)
    own = Path(dispatcher.stats.cache_path)  # in `folder`, apart from what the same sources elsewhere left there
    _remove(own, keep_sound=True)
    dispatcher.compile(types)
    if dispatcher.stats.cache_misses:
        for path in _files(own):
            _sum(path)
    return dispatcher  # type: ignore[no-any-return]


def _sum(path: Path) -> None:
    """Write a file's checksum beside it, unless another process has removed the file."""
    with contextlib.suppress(FileNotFoundError):
        _sum_path(path).write_text(_checksum(path))


def _with_folder(function: Callable[..., Any], folder: Path) -> Any:
    """Return a dispatcher that keeps its code in `folder`; Numba reads its setting only while the decorator runs."""
    before = settings.CACHE_DIR
    settings.CACHE_DIR = str(folder)
    try:
        return numba.njit(cache=True, **OPTIONS)(function)
    finally:
        settings.CACHE_DIR = before


def _files(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.suffix in (".nbi", ".nbc")]


def _sum_path(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _remove(folder: Path, *, keep_sound: bool) -> None:
    """Remove the compiled code in a folder, or only what does not match its checksum."""
    with contextlib.suppress(OSError):
        for path in _files(folder):
            if not (keep_sound and _is_sound(path)):
                path.unlink(missing_ok=True)
                _sum_path(path).unlink(missing_ok=True)


_seen: dict[Path, tuple[int, int]] = {}
"""Size and time of change of the files that were sound when this process looked."""


def _is_sound(path: Path) -> bool:
    """Return whether a file matches its checksum; one that has not changed since is not read again."""
    summed = _sum_path(path)
    with contextlib.suppress(OSError):
        state = path.stat()
        found = state.st_size, state.st_mtime_ns
        if _seen.get(path) == found or summed.read_text() == _checksum(path):
            _seen[path] = found
            return True
    return False


@functools.cache
def cache_folder() -> Path | None:
    """Return the folder for this build's compiled code, or None where none can be written."""
    return writable_folder("kernels", _key(), PACKAGE / "__pycache__")


def _key() -> str:
    """Return 16 hex digits of everything compiled code depends on."""
    import accelc.isa

    digest = hashlib.sha256()
    for folder in (*SOURCES, Path(accelc.isa.__file__).parent):
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.read_bytes())
    facts = [numba.__version__, llvm.llvm_version_info, platform.python_version(), platform.machine()]
    facts += [llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()]
    facts += sorted(item for item in os.environ.items() if item[0].startswith("NUMBA_") and item[0] not in PLACES)
    digest.update(repr(facts).encode())
    return digest.hexdigest()[:16]
