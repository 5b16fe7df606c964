"""Load a potential by name, from a model folder, or from a published file."""

from __future__ import annotations

import logging
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hea_sim.errors import HEAError, InputError, MissingFileError, one_line_error, unknown_name
from hea_sim.registry import cards
from hea_sim.registry.cards import CARD_FILE, ModelCard, list_models, read_card

if TYPE_CHECKING:
    from hea_sim.potentials.contract import Potential, SitePotential

KIND = "potential"
#: Names of sets of elements -> the shipped potential that is recommended for them, best first.
#: `nbmotaw-mtp` has the smaller errors on elements and binary alloys, but too soft a shear (C44) in random NbMoTaW.
RECOMMENDED = {"nbmotaw": ("nbmotaw-snap", "nbmotaw-mtp"), "ni": ("ni-mtp",), "cu": ("cu-mtp",), "mo": ("mo-mtp",)}
UNIVERSAL = ("chgnet", "7net-0", "sevenn")
_SNAP, _MTP, _EAM = (".snapcoeff", ".snapparam"), (".mtp",), (".alloy", ".setfl")
_REFERENCES = ("data", "elements")
#: A file that asks for neighbours beyond this is damaged: their number would fill the memory.
LARGEST_CUTOFF_A = 30.0
#: What reading a damaged file may raise.
_FAULTS = (ValueError, TypeError, LookupError, ArithmeticError, MemoryError, EOFError, OSError)
_LOG = logging.getLogger(__name__)


def load_potential(
    name: str | os.PathLike[str], *, species: Sequence[str] | None = None, reference: str = "data"
) -> Potential:
    """Load a potential.

    Parameters
    ----------
    name
        A shipped potential ("nbmotaw-mtp"); a set of elements ("nbmotaw"), for which the recommended one is taken, as
        its `name`, its `notes` and a line of the log say; a universal one of the extra `mlip` ("chgnet", "7net-0"); the
        published EAM of Zhou et al. ("zhou-eam", with `species`); a model folder of `hea fit potential`; or a published
        file: one of a pair .snapcoeff and .snapparam, an .mtp of mlip-2 (with `species`), an .eam.alloy or .setfl.
    species
        Elements in the order in which a file numbers them.
    reference
        "data": energies as in the training data. "elements": energies against the elements, as the card holds them.

    Raises
    ------
    UnknownNameError, MissingFileError, InputError
        Where there is no such potential or file, or it holds no energies of the elements.
    """
    if reference not in _REFERENCES:
        raise unknown_name("reference of energies", reference, _REFERENCES)
    path = Path(name)
    if path.suffix in (*_SNAP, *_MTP, *_EAM):
        if reference != "data":
            raise InputError(
                f"{path.name}: a published file holds no energies of the elements; wanted reference='data'"
            )
        return _from_file(path, species)
    if (path / CARD_FILE).is_file():
        return _from_folder(path, reference, ())
    if path.is_dir():
        hint = f"; take {path / 'model'}" if (path / "model" / CARD_FILE).is_file() else ""
        raise MissingFileError(f"{path}: a folder without {CARD_FILE}; wanted that of a model{hint}")
    text = str(name)
    if text in UNIVERSAL:
        from hea_sim.potentials.universal import universal_potential

        return universal_potential(text)
    if text == "zhou-eam":
        from hea_sim.potentials.zhou import zhou_eam

        return zhou_eam(_named(species, "zhou-eam: its elements, such as species=['Ta', 'W']"))
    if path.is_file():
        raise InputError(
            f"{path.name} is no file of a potential; wanted a model folder with {CARD_FILE} and plain arrays, or a"
            f" published {', '.join((*_SNAP, *_MTP, *_EAM))}: weights are never read from a pickle"
        )
    if path.suffix or len(path.parts) > 1:
        raise MissingFileError(
            f"{path}: no such potential; wanted a model folder with {CARD_FILE}, or a published file"
        )
    return _shipped(text, reference)


def shipped_potentials() -> list[ModelCard]:
    """List the cards of the shipped potentials."""
    return [card for card in list_models() if card.kind == KIND]


def recommended_potential(name: str) -> str | None:
    """Name the shipped potential that is recommended for a set of elements ("nbmotaw"); None where there is none."""
    known = [card.name for card in shipped_potentials()]
    return next((candidate for candidate in RECOMMENDED.get(name.lower(), ()) if candidate in known), None)


def _shipped(name: str, reference: str) -> SitePotential:
    known = [card.name for card in shipped_potentials()]
    if name in known:
        return _from_folder(cards.MODELS / name, reference, ())
    if candidate := recommended_potential(name):
        _LOG.info("'%s': taking %s, the recommended potential", name, candidate)
        return _from_folder(cards.MODELS / candidate, reference, (f"recommended for '{name}'",))
    sets = [key for key, candidates in RECOMMENDED.items() if set(candidates) & set(known)]
    raise unknown_name("potential", name, [*known, *sets, *UNIVERSAL, "zhou-eam"])


@contextmanager
def _naming_faults(what: str) -> Iterator[None]:
    """Turn what a damaged file makes its reader raise into one line that names it."""
    try:
        yield
    except HEAError:
        raise
    except (*_FAULTS, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"{what}: cannot be read as a potential ({one_line_error(error)}); get it again, or make it again"
        ) from error


def _checked(potential: SitePotential, what: str) -> SitePotential:
    """Refuse a potential that no crystal can be given to."""
    from ase.data import atomic_numbers

    unknown = [element for element in potential.elements if element not in atomic_numbers]
    if unknown:
        raise InputError(f"{what}: '{unknown[0]}' is no element; wanted chemical symbols")
    if not 0 < potential.cutoff_A <= LARGEST_CUTOFF_A:
        raise InputError(
            f"{what}: cutoff of {potential.cutoff_A:g} A; wanted above 0 and at most {LARGEST_CUTOFF_A:g} A; the file"
            " is damaged, or in other units"
        )
    return potential


def _from_folder(folder: Path, reference: str, notes: tuple[str, ...]) -> SitePotential:
    from dataclasses import replace

    from hea_sim.potentials.fitting.families import read_fitted

    with _naming_faults(folder.name):
        potential = _checked(read_fitted(folder), folder.name)
        if notes:
            potential = replace(potential, notes=(*notes, *potential.notes))
        return potential if reference == "data" else _against_elements(potential, folder)


def _against_elements(potential: SitePotential, folder: Path) -> SitePotential:
    """Take the energies of the elements, as the card holds them, off."""
    energies = read_card(folder).settings.get("element_energies_eV")
    if not isinstance(energies, dict):
        raise InputError(f"{folder.name}: its card holds no energies of the elements; wanted reference='data'")
    missing = [element for element in potential.elements if element not in energies]
    if missing:
        raise InputError(f"{folder.name}: its card holds no energy of {', '.join(missing)}; wanted reference='data'")
    return potential.shifted({element: -float(str(energy)) for element, energy in energies.items()})


def _from_file(path: Path, species: Sequence[str] | None) -> SitePotential:
    with _naming_faults(path.name):
        return _checked(_read_file(path, species), path.name)


def _read_file(path: Path, species: Sequence[str] | None) -> SitePotential:
    from hea_sim.potentials.contract import SitePotential

    if path.suffix in _SNAP:
        from hea_sim.potentials.snap_files import read_snap

        coeff, param = (path.with_suffix(suffix) for suffix in _SNAP)
        return SitePotential(name=path.stem, model=read_snap(coeff, param, species))
    if path.suffix in _MTP:
        from hea_sim.potentials.mtp_files import read_mtp

        named = _named(species, f"{path.name}: an .mtp file numbers its species; give species=[...] in that order")
        return SitePotential(name=path.stem, model=read_mtp(path, named))
    from hea_sim.potentials.eam_files import load_eam

    return load_eam(path)


def _named(species: Sequence[str] | None, what: str) -> list[str]:
    if not species:
        raise InputError(f"{what}; got none")
    return list(species)
