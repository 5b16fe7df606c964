"""Files of SNAP as LAMMPS has them: .snapcoeff with the coefficients, .snapparam with the settings.

.snapcoeff: `elements coefficients`; for each element a line `symbol radius weight`, then one coefficient a line.
.snapparam: a keyword and its value a line. `#` begins a comment; "UNITS: real" in one means kcal/mol instead of eV.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.documents import write_atomic
from hea_sim.errors import InputError, MissingFileError, unknown_name
from hea_sim.potentials.snap import SnapModel, features_of_element

KCAL_PER_MOL_eV = 0.043364104241800934
_NUMBERS = ("rcutfac", "rfac0", "rmin0")
_FLAGS = ("switchflag", "bzeroflag", "quadraticflag", "bnormflag", "wselfallflag")
_REFUSED = {
    "chemflag": "the explicit multi-element form",
    "switchinnerflag": "the inner switching function",
}
#: Settings that say nothing of energies, and one of old files.
_PASSED_OVER = ("chunksize", "parallelthresh", "sinner", "dinner", "diagonalstyle")
_KNOWN = ("twojmax", *_NUMBERS, *_FLAGS, *_REFUSED, *_PASSED_OVER)


def read_snap(coeff: str | Path, param: str | Path, elements: Sequence[str] | None = None) -> SnapModel:
    """Read a SNAP from LAMMPS' .snapcoeff and .snapparam; `elements` choose some of those in the file, and their order.

    `diagonalstyle 3` of old files is accepted; other styles, `chemflag 1` and `switchinnerflag 1` are refused. Raises
    MissingFileError, or InputError that names the line of what cannot be read.
    """
    settings = _read_settings(Path(param))
    path = Path(coeff)
    text = _text(path)
    lines = list(_lines(text))
    n, count = _sizes(path.name, lines)
    wanted = features_of_element(settings["twojmax"], settings.get("quadraticflag", False))
    if count != wanted:
        kind = "a quadratic" if settings.get("quadraticflag") else "a linear"
        raise InputError(
            f"{path.name}: {count} coefficients an element; wanted {wanted} for {kind} one of twojmax"
            f" {settings['twojmax']} in {Path(param).name}; do the files belong together?"
        )
    blocks = _read_elements(path.name, lines[1:], n, count)
    chosen = tuple(blocks) if elements is None else tuple(elements)
    for element in chosen:
        if element not in blocks:
            raise unknown_name(f"element in {path.name}", element, blocks)
    unit = KCAL_PER_MOL_eV if _units(path.name, text) == "real" else 1.0
    return SnapModel(
        elements=chosen,
        radii=tuple(blocks[element][0] for element in chosen),
        weights=tuple(blocks[element][1] for element in chosen),
        coefficients=np.array([blocks[element][2] for element in chosen]) * unit,
        **settings,
    )


def write_snap(model: SnapModel, coeff: str | Path, param: str | Path, comment: str = "") -> None:
    """Write a SNAP as LAMMPS reads it, every number to its last digit; `comment` goes on top of both files."""
    notes = [f"# {line}" for line in comment.splitlines()]
    lines = [*notes, "# UNITS: metal", f"{len(model.elements)} {np.shape(model.coefficients)[1]}"]
    for element, radius, weight, values in zip(
        model.elements, model.radii, model.weights, np.asarray(model.coefficients, float), strict=True
    ):
        lines.append(f"{element} {float(radius)!r} {float(weight)!r}")
        lines += [repr(float(value)) for value in values]
    write_atomic(Path(coeff), "\n".join(lines) + "\n")
    lines = [*notes, f"twojmax {int(model.twojmax)}"]
    lines += [f"{key} {float(getattr(model, key))!r}" for key in _NUMBERS]
    lines += [f"{key} {int(getattr(model, key))}" for key in _FLAGS]
    write_atomic(Path(param), "\n".join(lines) + "\n")


def _text(path: Path) -> str:
    if not path.is_file():
        raise MissingFileError(f"no file {path}; give the .snapcoeff and the .snapparam of a SNAP")
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Give number and words of each line that says something."""
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#")[0].split()
        if words:
            yield number, words


def _units(name: str, text: str) -> str:
    for line in text.splitlines():
        words = line.lstrip("# ").split()
        if line.lstrip().startswith("#") and "UNITS:" in words[:-1]:
            units = words[words.index("UNITS:") + 1]
            if units not in ("metal", "real"):
                raise InputError(f"{name}: units {units}; wanted metal (eV, A) or real (kcal/mol, A); convert the file")
            return units
    return "metal"


def _number(name: str, line: int, word: str, what: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise InputError(f"{name}, line {line}: {what} '{word[:40]}'; wanted a finite number; mend the file")
    return value


def _whole(name: str, line: int, word: str, what: str) -> int:
    value = _number(name, line, word, what)
    if value != int(value):
        raise InputError(f"{name}, line {line}: {what} '{word[:40]}'; wanted a whole number; mend the file")
    return int(value)


def _sizes(name: str, lines: list[tuple[int, list[str]]]) -> tuple[int, int]:
    if not lines:
        raise InputError(f"{name} says nothing; wanted a .snapcoeff file")
    line, words = lines[0]
    if len(words) != 2:
        raise InputError(
            f"{name}, line {line}: '{' '.join(words)[:60]}'; wanted two numbers, of elements and of coefficients an"
            " element; is this a .snapcoeff file?"
        )
    n, count = (
        _whole(name, line, words[0], "number of elements"),
        _whole(name, line, words[1], "number of coefficients"),
    )
    if n < 1 or count < 1:
        raise InputError(f"{name}, line {line}: {n} elements, {count} coefficients; wanted at least 1 of both")
    return n, count


def _read_elements(
    name: str, lines: list[tuple[int, list[str]]], n: int, count: int
) -> dict[str, tuple[float, float, list[float]]]:
    if len(lines) != n * (1 + count):
        raise InputError(
            f"{name}: {len(lines)} lines after the first; wanted {n * (1 + count)} for {n} elements with {count}"
            " coefficients each; is the file cut off?"
        )
    blocks: dict[str, tuple[float, float, list[float]]] = {}
    for start in range(0, len(lines), 1 + count):
        line, words = lines[start]
        if len(words) != 3:
            raise InputError(f"{name}, line {line}: '{' '.join(words)[:60]}'; wanted element, radius and weight")
        if words[0] in blocks:
            raise InputError(f"{name}, line {line}: {words[0]} comes up twice; wanted each element once")
        values = []
        for at, entry in lines[start + 1 : start + 1 + count]:
            if len(entry) != 1:
                raise InputError(f"{name}, line {at}: '{' '.join(entry)[:60]}'; wanted one coefficient a line")
            values.append(_number(name, at, entry[0], "coefficient"))
        radius, weight = _number(name, line, words[1], "radius"), _number(name, line, words[2], "weight")
        blocks[words[0]] = (radius, weight, values)
    return blocks


def _read_settings(path: Path) -> dict[str, Any]:
    name = path.name
    settings: dict[str, Any] = {}
    for line, words in _lines(_text(path)):
        key = words[0]
        if key not in _KNOWN:
            raise InputError(f"{name}, line {line}: {unknown_name('setting of SNAP', key, _KNOWN)}")
        if key in ("sinner", "dinner"):
            continue
        if len(words) != 2:
            raise InputError(f"{name}, line {line}: '{' '.join(words)[:60]}'; wanted a setting and its value")
        if key in _NUMBERS:
            settings[key] = _number(name, line, words[1], key)
            continue
        value = _whole(name, line, words[1], key)
        if key == "twojmax":
            settings[key] = value
        elif key in _FLAGS or key in _REFUSED:
            settings |= _flag(name, line, key, value)
        elif key == "diagonalstyle" and value != 3:
            raise InputError(f"{name}, line {line}: diagonalstyle {value}; only 3 is known, which LAMMPS has kept")
    for key in ("rcutfac", "twojmax"):
        if key not in settings:
            raise InputError(f"{name}: no {key}; wanted a line '{key} VALUE'; is this a .snapparam file?")
    return settings


def _flag(name: str, line: int, key: str, value: int) -> dict[str, bool]:
    if value not in (0, 1):
        raise InputError(f"{name}, line {line}: {key} {value}; wanted 0 or 1")
    if key in _REFUSED:
        if value:
            raise InputError(
                f"{name}, line {line}: {key} 1, {_REFUSED[key]}, is not computed here; take a SNAP with {key} 0, or"
                " LAMMPS"
            )
        return {}
    return {key: bool(value)}
