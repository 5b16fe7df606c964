"""Which radiation a pattern was measured with: what the file says, what the user says."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from hea_sim.diffraction.radiation import known_tubes
from hea_sim.diffraction.radiation import radiation as get_radiation
from hea_sim.errors import InputError

#: K-alpha doublets of the known tubes: wavelengths of K-alpha1 and K-alpha2 in angstrom.
RADIATIONS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {t.name: (t.lines[0][0], t.lines[1][0]) for t in known_tubes() if len(t.lines) == 2}
)

_ELEMENTS = "|".join(name[:2] for name in RADIATIONS)
#: The lines that `write_pattern` writes; a file's name in them says nothing of the radiation.
_WRITTEN = re.compile(r"^# (?:radiation: (\w+)|wavelength_A: (\d+\.\d+))$", re.MULTILINE)
_PATHS = re.compile(r"^# source: .*$", re.MULTILINE)
_SAID_NAME = re.compile(
    rf"\b(?:anode|target|radiation)[\s_-]*(?:material)?\W{{1,5}}({_ELEMENTS})(?![a-jl-z])(?!.?K.?b)",
    re.IGNORECASE,
)
_SAID_WAVELENGTH = re.compile(
    r"\b(?:k[-_ ]?alpha[-_ ]?1|_?wl1?|wave[-_ ]?length(?:[-_ ]?(?:1|A|alpha[-_ ]?1))?|lambda)\b"
    r"[^0-9\r\n]{0,24}(\d+\.\d+)",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class Source:
    """Hold a radiation by name or by a single wavelength, with notes on where it comes from."""

    radiation: str | None = None
    wavelength_A: float | None = None
    notes: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.radiation or f"{self.wavelength_A:g} A"


def radiation_name(text: str) -> str:
    """Give the standard name of a tube's K-alpha doublet.

    >>> radiation_name("Co"), radiation_name("cu k-alpha")
    ('CoKa', 'CuKa')
    """
    return get_radiation(text).name


def line_of(wavelength_A: float) -> str | None:
    """Name the K-alpha doublet that a wavelength belongs to (its K-alpha1 or its mean), None where none does.

    >>> line_of(1.5406), line_of(1.5418), line_of(0.4133)
    ('CuKa', 'CuKa', None)
    """
    for name, (first, second) in RADIATIONS.items():
        mean = (2 * first + second) / 3
        if min(abs(wavelength_A - first), abs(wavelength_A - mean)) < 5e-4:
            return name
    return None


def said_in_text(header: str) -> Source:
    """Find the radiation in the header lines of a text file; an empty Source where nothing is said.

    >>> said_in_text('Anode: "Co" Scantype: "TwoTheta"').radiation
    'CoKa'
    """
    if match := _WRITTEN.search(header):
        name, number = match[1], match[2]
        if name and name not in {tube.name for tube in known_tubes()}:
            return Source()
        wavelength = float(number) if number else None
        return Source(radiation=name, wavelength_A=wavelength, notes={"radiation_from": "file header"})
    header = _PATHS.sub("", header)
    if match := _SAID_NAME.search(header):
        return Source(radiation=match[1].capitalize() + "Ka", notes={"radiation_from": "file header"})
    if match := _SAID_WAVELENGTH.search(header):
        wavelength = float(match[1])
        notes = {"radiation_from": f"wavelength {match[1]} A in the file header"}
        if name := line_of(wavelength):
            return Source(radiation=name, notes=notes)
        if 0.05 < wavelength < 5:
            return Source(wavelength_A=wavelength, notes=notes)
    return Source()


def said_in_fields(
    format_name: str, anode: str = "", alpha1_A: float | None = None, alpha2_share: float | None = None
) -> Source:
    """Settle what the fields of an instrument file say: anode, K-alpha1 and the share of K-alpha2 to K-alpha1.

    A share of zero means one single line; else a known anode or wavelength gives its doublet.

    >>> said_in_fields("raw", "CU").radiation, said_in_fields("raw", "Cu", 1.5406, 0.0).wavelength_A
    ('CuKa', 1.5406)
    """
    if alpha1_A is not None and not 0.05 < alpha1_A < 5:
        alpha1_A = None
    if alpha1_A and alpha2_share == 0:
        return Source(wavelength_A=alpha1_A, notes={"radiation_from": f"{format_name} K-alpha1 without K-alpha2"})
    name = f"{anode.strip().capitalize()}Ka"
    if name in RADIATIONS:
        return Source(radiation=name, notes={"radiation_from": f"{format_name} anode"})
    notes = {"radiation_from": f"{format_name} wavelength"}
    if alpha1_A is None:  # an anode whose lines are not tabled says nothing that could be used
        return Source()
    if name_of_line := line_of(alpha1_A):
        return Source(radiation=name_of_line, notes=notes)
    return Source(wavelength_A=alpha1_A, notes=notes)


def said_by_user(radiation: str | None, wavelength_A: float | None) -> Source:
    """Check what the user says; an empty Source where nothing is said."""
    if radiation is not None and wavelength_A is not None:
        raise InputError(f"got radiation {radiation!r} and wavelength {wavelength_A} A; give one of the two")
    if wavelength_A is not None and not (math.isfinite(wavelength_A) and 0.05 < wavelength_A < 5):
        raise InputError(f"wavelength {wavelength_A} A; wanted a number of angstrom between 0.05 and 5")
    if radiation is not None:
        source = get_radiation(radiation)
        return Source(
            radiation=source.name if source.is_tube else None,
            wavelength_A=None if source.is_tube else source.wavelength_A,
            notes={"radiation_from": "user"},
        )
    return Source(wavelength_A=wavelength_A, notes={"radiation_from": "user"} if wavelength_A is not None else {})


def settle(file: Source, user: Source) -> Source:
    """Let the user's word win over the file's, and note it where the two differ."""
    if user.radiation is None and user.wavelength_A is None:
        return file
    silent = file.radiation is None and file.wavelength_A is None
    if silent or (user.radiation, user.wavelength_A) == (file.radiation, file.wavelength_A):
        return user
    note = f"the file says {file}, the user says {user}; the user's word is used"
    return Source(
        radiation=user.radiation, wavelength_A=user.wavelength_A, notes={**user.notes, "radiation_note": note}
    )
