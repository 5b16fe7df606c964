"""Powder CIF (.cif, .pdcif): the measured or processed profile of every data block.

Names of the dictionary cif_pd: B. H. Toby, International Tables for Crystallography G (2006), chapter 4.2,
doi:10.1107/97809553602060000107.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.errors import InputError
from hea_vision.io._files import decode_text, one_line
from hea_vision.io._scans import Scan, checked_count, counts_entry
from hea_vision.io._xml import number
from hea_vision.io.radiation import Source, said_in_fields

Block = dict[str, list[str]]

#: A quoted value, a quote that never closes (to the end of its line), a bare word, a comment.
_TOKEN = re.compile(r"""'(?:[^']|'(?=\S))*'|"(?:[^"]|"(?=\S))*"|['"].*|[^\s'"#]\S*|\#.*""")
_MAX_TOKENS = 2_000_000
_WITH_SU = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+))(?:\((\d+)\))?((?:[eE][-+]?\d+)?)")
_INTENSITIES = (
    "_pd_meas_counts_total",
    "_pd_meas_intensity_total",
    "_pd_proc_intensity_total",
    "_pd_meas_counts_net",
    "_pd_meas_intensity_net",
    "_pd_proc_intensity_net",
)
#: Abscissae that are listed, in the order of preference -> axis.
_LISTED = {
    "_pd_meas_2theta_scan": "two_theta_deg",
    "_pd_proc_2theta_corrected": "two_theta_deg",
    "_pd_proc_recip_len_q": "q_per_A",
    "_pd_proc_d_spacing": "d_A",
}
_RANGES = ("_pd_meas_2theta_range", "_pd_proc_2theta_range")


def read_pdcif(path: Path, raw: bytes) -> list[Scan]:
    """Read the powder profile of every data block that has one."""
    blocks = parse_cif(path, decode_text(path, raw))
    checked_count(path, len(blocks))
    shared: Block = {}
    for _, block in blocks:  # the radiation often stands in a block of its own
        for name, values in block.items():
            if name.startswith("_diffrn_radiation"):
                shared.setdefault(name, values)
    scans = [scan for name, block in blocks if (scan := _scan(path, name, {**shared, **block})) is not None]
    if not scans:
        tof = any(name.startswith("_pd_meas_time_of_flight") for _, block in blocks for name in block)
        what = "time-of-flight data" if tof else "no powder profile (_pd_meas_..., _pd_proc_...), a structure perhaps"
        raise InputError(f"{path}: holds {what}; wanted intensities over 2-theta: give the measured pattern")
    return scans


def parse_cif(path: Path, text: str) -> list[tuple[str, Block]]:
    """Split a CIF into its data blocks: lower-case name -> its values, several where it stands in a loop."""
    blocks: list[tuple[str, Block]] = []
    names: list[str] = []  # names that wait for values
    values: list[str] = []
    in_loop = False

    def close() -> None:
        if names and blocks:
            if len(values) % len(names) or (values and not in_loop and len(names) > 1):
                raise InputError(
                    f"{path}: {len(values)} values for the {len(names)} names from {one_line(names[0], 60)} on;"
                    " the CIF is cut short or damaged"
                )
            for i, name in enumerate(names):
                blocks[-1][1].setdefault(name, values[i :: len(names)])
        names.clear()
        values.clear()

    for count, (token, is_value) in enumerate(_tokens(text)):
        if count > _MAX_TOKENS:
            raise InputError(f"{path}: over {_MAX_TOKENS} values in the CIF, no pattern has as many; give one pattern")
        lowered = "" if is_value else token.lower()
        if lowered.startswith("data_") or lowered == "loop_" or (lowered.startswith("_") and (values or not in_loop)):
            close()
            in_loop = lowered == "loop_"
        if lowered.startswith("data_"):
            blocks.append((token[5:], {}))
        elif lowered.startswith("_"):
            names.append(lowered)
        elif lowered != "loop_" and names:
            values.append(token)
            if not in_loop:
                close()
    close()
    return blocks


def _tokens(text: str) -> Iterator[tuple[str, bool]]:
    """Split text into words; quoted ones and text fields are values whatever they look like."""
    field: list[str] | None = None
    for line in text.splitlines():
        if line.startswith(";"):
            if field is not None:
                yield "\n".join(field), True
                field = None
                line = line[1:]
            else:
                field = [line[1:]]
                continue
        elif field is not None:
            field.append(line)
            continue
        for word in (match[0] for match in _TOKEN.finditer(line)):
            if word.startswith("#"):
                break
            quoted = len(word) > 1 and word[0] in "'\"" and word[-1] == word[0]
            bare = word[1:-1] if quoted else word
            yield bare, quoted or not bare.lower().startswith(("_", "data_", "loop_"))


def _scan(path: Path, name: str, block: Mapping[str, list[str]]) -> Scan | None:
    """Read the profile of one block, None where it has none."""
    y_name = next((n for n in _INTENSITIES if len(block.get(n, ())) > 1), None)
    if y_name is None:
        return None
    y, std = _values(block[y_name])
    x, axis = _abscissa(path, block, y.size)
    if x is None:
        return None
    if (said := block.get(f"{y_name}_su")) and len(said) == y.size:
        std = _values(said)[0]
    known = np.isfinite(x) & np.isfinite(y)
    metadata: dict[str, Any] = {
        "format": "pdCIF",
        "block": one_line(name, 80),
        "intensity": y_name,
        **_probe(block),
        **counts_entry(y[known], y_name == "_pd_meas_counts_total"),
    }
    if time := number(block.get("_pd_meas_step_count_time", [""])[0]):
        metadata["counting_time_s"] = time
    if not known.all():
        metadata["rows_note"] = f"{int((~known).sum())} of {y.size} points have no value in the file and are left out"
    has_std = np.isfinite(std).any()
    return Scan(
        x=x[known],
        y=y[known],
        std=std[known] if has_std else None,
        axis=axis,
        source=_source(block),
        metadata=metadata,
    )


def _abscissa(path: Path, block: Mapping[str, list[str]], n: int) -> tuple[np.ndarray | None, str]:
    """Find the abscissa that fits the intensities: measured before processed, listed before a range."""
    for name, axis in _LISTED.items():
        if len(block.get(name, ())) == n:
            return _values(block[name])[0], axis
    for stem in _RANGES:
        low, high, step = (number(block.get(f"{stem}_{end}", [""])[0]) for end in ("min", "max", "inc"))
        if low is None or step is None:
            continue
        if high is not None and abs(low + step * (n - 1) - high) > abs(step):
            raise InputError(
                f"{path}: {n} intensities do not fit a range of {low:g} to {high:g} in steps of {step:g};"
                " the CIF is cut short or damaged"
            )
        return low + step * np.arange(n), "two_theta_deg"
    return None, "two_theta_deg"


def _values(words: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Read numbers like 1234(35): value and standard uncertainty, NaN for what is unknown."""
    values, uncertainties = np.full(len(words), np.nan), np.full(len(words), np.nan)
    for i, word in enumerate(words):
        match = _WITH_SU.fullmatch(word)
        if match is None:
            continue
        values[i] = float(match[1] + match[3])
        if match[2]:
            decimals = len(match[1].partition(".")[2])
            uncertainties[i] = float(f"{match[2][:300]}e{-decimals}") * float("1" + (match[3] or ""))
    return values, uncertainties


def _probe(block: Mapping[str, list[str]]) -> dict[str, str]:
    said = " ".join(block.get("_diffrn_radiation_probe", [])[:1] + block.get("_diffrn_radiation_type", [])[:1]).lower()
    return {"probe": next((probe for probe in ("neutron", "electron") if probe in said), "x-ray")} if said else {}


def _source(block: Mapping[str, list[str]]) -> Source:
    """Read the wavelength of the greatest weight; a tube's two lines make its doublet."""
    waves = [number(re.sub(r"\(\d+\)", "", word)) for word in block.get("_diffrn_radiation_wavelength", [])]
    weights = [number(word) for word in block.get("_diffrn_radiation_wavelength_wt", [])]
    known = [(weights[i] if i < len(weights) else None, wave) for i, wave in enumerate(waves) if wave]
    if not known:
        return Source()
    best = max(known, key=lambda pair: pair[0] or 0.0)[1]
    if _probe(block).get("probe", "x-ray") != "x-ray":
        return Source(wavelength_A=best, notes={"radiation_from": "CIF wavelength"}) if 0.05 < best < 5 else Source()
    return said_in_fields("CIF", "", best)
