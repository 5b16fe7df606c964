"""What the benchmarks of potentials share: which potentials, which files they come from, which code measured them."""

from __future__ import annotations

import argparse
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import hea_sim.mechanics
import hea_sim.potentials
from hea_sim.documents import sha256_of, versions, write_json
from hea_sim.errors import HEAError
from hea_sim.potentials.contract import SiteModel, SitePotential, SumModel
from hea_sim.potentials.loading import load_potential
from hea_sim.potentials.mtp import MtpModel
from hea_sim.registry.cards import MODELS, read_card

#: DFT energies of the elements in the NbMoTaW set, eV/atom, which its published SNAP takes for zero.
BULK_eV = {"Nb": -10.09499, "Mo": -10.84830, "Ta": -11.85294, "W": -12.96030}
NBMOTAW = ("Nb", "Mo", "Ta", "W")
SHIPPED = ("nbmotaw-snap", "nbmotaw-mtp", "ni-mtp", "cu-mtp", "mo-mtp")
#: Published files by a name of ours: files under potentials/, and their species in the order of the file.
PUBLISHED = {
    "published-snap": (("nbmotaw/Ta-W-Nb-Mo.snapcoeff", "nbmotaw/Ta-W-Nb-Mo.snapparam"), None),
    "published-mtp": (("nbmotaw/quaternary.mtp",), NBMOTAW),
}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Hold a potential with the name it goes by here and the SHA-256 of each file it comes from."""

    name: str
    potential: SitePotential
    sha256: Mapping[str, str]


def read_potential(name: str, data: Path | None) -> Measured:
    """Load a shipped or published potential by name, a model folder, or a file as PATH:El-El of an .mtp.

    The published SNAP gets the energies of the elements, so that it speaks of total energies as the data do.
    """
    if name in PUBLISHED:
        if data is None:
            raise SystemExit(f"{name}: give --data FOLDER or set HEA_DATA")
        files, species = PUBLISHED[name]
        paths = [data / "potentials" / file for file in files]
        potential: Any = load_potential(paths[0], species=species)
        if name == "published-snap":
            potential = potential.shifted(BULK_eV)
        return Measured(name=name, potential=potential, sha256={path.name: sha256_of(path) for path in paths})
    text, _, species_text = name.partition(":")
    potential = load_potential(text, species=species_text.split("-") if species_text else None)
    return Measured(name=name, potential=potential, sha256=_hashes(Path(text), str(potential.name)))


def _hashes(path: Path, name: str) -> dict[str, str]:
    for folder in (path, MODELS / name):
        if (folder / "card.json").is_file():
            return {f"{name}/arrays": read_card(folder).arrays_sha256}
    pair = (path.with_suffix(".snapcoeff"), path.with_suffix(".snapparam"))
    files = pair if path.suffix in (".snapcoeff", ".snapparam") else (path,)
    return {file.name: sha256_of(file) for file in files if file.is_file()}


def read_potentials(names: Sequence[str], data: Path | None) -> list[Measured]:
    """Load potentials; one that is not there is said, and left out."""
    found = []
    for name in names:
        try:
            found.append(read_potential(name, data))
        except HEAError as error:
            print(f"{name}: left out, {error}")
    if not found:
        raise SystemExit("no potential to measure")
    return found


@cache
def code_sha256(script: str) -> str:
    """Hash the source that computes and judges: a benchmark, what it shares, potentials with their fits, mechanics."""
    benchmark = [Path(script), Path(__file__)]
    folders = [Path(str(room.__file__)).parent for room in (hea_sim.potentials, hea_sim.mechanics)]
    files = [*benchmark, *(file for folder in folders for file in sorted(folder.rglob("*.py")))]
    return hashlib.sha256(b"".join(f"\0{f.name}\0".encode() + f.read_bytes() for f in files)).hexdigest()


def benchmark_parser(text: str | None, potentials: Sequence[str]) -> argparse.ArgumentParser:
    """Make the parser of a benchmark with the options that all have."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--potentials", nargs="+", default=list(potentials), metavar="NAME")
    parser.add_argument("--data", default=os.environ.get("HEA_DATA"), help="folder of the real data (HEA_DATA)")
    parser.add_argument("--quick", action="store_true", help="less of everything, to see that it runs")
    parser.add_argument("--json", type=Path)
    return parser


def data_folder(options: argparse.Namespace) -> Path | None:
    """Give the folder of the real data, None where there is none."""
    return Path(options.data) if options.data else None


def write_results(options: argparse.Namespace, script: str, measured: Sequence[Measured], **results: Any) -> None:
    """Write results with what they hang on: versions, code, the files of the models."""
    if options.json:
        frame = {
            "versions": versions(),
            "code_sha256": code_sha256(script),
            "models": {one.name: one.sha256 for one in measured},
            "quick": options.quick,
        }
        write_json(options.json, frame | results)


def judged(value: float, target: float, *, at_least: bool = False) -> str:
    """Write a target and whether it was reached."""
    reached = value >= target if at_least else value <= target
    return f"target {'>=' if at_least else '<='} {target:.4g}: {'reached' if reached else 'MISSED'}"


def in_precision(model: SiteModel, precision: str) -> SiteModel:
    """Give the model with its MTP in another precision; the same object where it holds none."""
    if isinstance(model, SumModel):
        parts = tuple(in_precision(part, precision) for part in model.parts)
        same = all(new is old for new, old in zip(parts, model.parts, strict=True))
        return model if same else replace(model, parts=parts)
    return model.with_precision(precision) if isinstance(model, MtpModel) else model
