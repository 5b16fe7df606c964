"""Loops of Monte Carlo with the energy of one model built in, compiled by numba or plain.

A loop is written once, against the names `energy_change` and `composition_change`; here it gets those of a model (see
`hea_sim.lattice.contract`). numba keeps compiled functions on disk by the name of the function and the time stamp of
its file. The name therefore holds a checksum of the file that the model's function comes from: after a change there, it
is compiled anew.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from types import FunctionType
from typing import Any

from hea_sim.lattice.contract import CompositionChange, EnergyChange, no_composition_change


@lru_cache(maxsize=64)
def specialised(
    loop: Callable[..., Any],
    energy_change: EnergyChange,
    composition_change: CompositionChange = no_composition_change,
    *,
    compiled: bool = True,
) -> Callable[..., Any]:
    """Give a loop that calls these changes of energy; `compiled=False` gives the plain Python twin."""
    assert isinstance(loop, FunctionType)
    if not compiled:
        return _with(loop, loop.__name__, energy_change=energy_change, composition_change=composition_change)
    import numba

    name = f"{loop.__name__}_{getattr(energy_change, '__name__', 'model')}_{_checksum(energy_change)}"
    built_in: dict[str, Callable[..., Any]] = {
        "energy_change": numba.njit(error_model="numpy")(energy_change),
        "composition_change": numba.njit(error_model="numpy")(composition_change),
    }
    return in_numba(_with(loop, name, **built_in))


def in_numba(function: Callable[..., Any], *, parallel: bool = False) -> Callable[..., Any]:
    """Compile a function that frees the interpreter; keep it on disk where numba finds a folder that it may write."""
    import numba

    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy", parallel=parallel)(function)
    except RuntimeError:  # no folder for the cache can be written: compile in memory
        return numba.njit(nogil=True, error_model="numpy", parallel=parallel)(function)


def _with(loop: FunctionType, name: str, **built_in: Callable[..., Any]) -> FunctionType:
    copy = FunctionType(loop.__code__, {**loop.__globals__, **built_in}, name, loop.__defaults__)
    copy.__qualname__ = name
    return copy


def _checksum(function: Callable[..., Any]) -> str:
    """Give a checksum of the file of a function; of its code where it has no file."""
    try:
        source = Path(inspect.getfile(function)).read_bytes()
    except (OSError, TypeError):
        source = function.__code__.co_code + repr(function.__code__.co_consts).encode()
    return hashlib.sha256(source).hexdigest()[:12]
