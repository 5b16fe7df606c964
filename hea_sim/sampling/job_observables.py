"""What a job reads from whole cells on the way, by the names that `observables` lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hea_sim.errors import HEAError
from hea_sim.lattice.shells import lattice_name
from hea_sim.sampling.job import SampleJob
from hea_sim.sampling.run_replica import Look


def every_sample(job: SampleJob) -> Look | None:
    """Give what is read from the cell at every sample: fractions and pairs, for engines that do not count them.

    Atoms keep the number of the site on which they began, so that shells are those of the lattice; atoms of a
    structure file are taken where they stand in the order of a lattice, else pairs are not counted.
    """
    lattice = None if job.lattice is None or job.start is not None else lattice_name(job.lattice)
    moving = job.ensemble == "semi-grand"
    if job.engine == "lattice" or (lattice is None and not moving):
        return None
    from hea_sim.lattice.pairs import pair_fractions

    species = job.composition.elements

    def count(atoms: Any) -> Mapping[str, Any]:
        occupation = np.array([species.index(s) for s in atoms.get_chemical_symbols()], dtype=np.int8)
        found = {"fractions": np.bincount(occupation, minlength=len(species)) / len(occupation)} if moving else {}
        if lattice is not None:
            found["pair_fractions"] = pair_fractions(occupation, lattice, job.size, job.shells, len(species))
        return found

    return count


def looker(job: SampleJob) -> Look | None:
    """Give one function that reads all observables of a job from a cell; None where there are none."""
    readers = [_READERS[name] for name in job.observables if name in _READERS]
    if not readers or not job.snapshots:
        return None

    def look(atoms: Any) -> Mapping[str, Any]:
        found: dict[str, Any] = {}
        for reader in readers:
            found.update(reader(job, atoms))
        return found

    return look


def _order(job: SampleJob, atoms: Any) -> Mapping[str, Any]:
    """Read long-range order of every structure that the lattice and the size of the cell allow."""
    from hea_sim.observables.superlattice_order import STRUCTURES, long_range_order

    if job.start is not None or job.lattice is None:
        return {}
    try:
        lattice = lattice_name(job.lattice)
    except HEAError:  # order of other parents is not defined here
        return {}
    species = job.composition.elements
    occupation = np.array([species.index(s) for s in atoms.get_chemical_symbols()], dtype=np.int8)
    found = {}
    for structure in STRUCTURES[lattice]:
        if structure in ("D0_3", "B32") and any(n % 2 for n in job.size):
            continue
        value = long_range_order(occupation, lattice, structure, size=job.size, species=species)
        found[f"order {structure}"] = np.nan_to_num(value)
    return found


def _rdf(job: SampleJob, atoms: Any) -> Mapping[str, Any]:
    from hea_sim.observables.rdf import radial_distribution

    found = radial_distribution(atoms, 10.0, bins=200, species=job.composition.elements)
    return {"rdf r_A": found.r_A, "rdf total": found.total, "rdf partial": np.nan_to_num(found.partial)}


def _distortion(job: SampleJob, atoms: Any) -> Mapping[str, Any]:
    """Read how far atoms stand from their sites; cells from a file have none that are known."""
    from hea_sim.observables.distortion import local_distortion

    if job.start is not None or job.lattice is None:
        return {}
    found = local_distortion(atoms, lattice=job.lattice, size=job.size)
    return {"distortion mean_A": found.mean_A, "distortion rms_A": found.rms_A}


def _structures(job: SampleJob, atoms: Any) -> Mapping[str, Any]:
    from hea_sim.observables.common_neighbours import structure_fractions

    return {f"structure {name}": value for name, value in structure_fractions(atoms).items()}


def _precipitates(job: SampleJob, atoms: Any) -> Mapping[str, Any]:
    from hea_sim.observables.precipitates import find_precipitates

    wanted = job.precipitates
    assert wanted is not None  # the job has checked it
    found = find_precipitates(
        atoms, wanted.species, threshold=wanted.threshold, radius_A=wanted.radius_A, least_atoms=wanted.least_atoms
    )
    sizes = found.diameter_nm if len(found.diameter_nm) else np.zeros(1)
    spacings = found.spacing_nm[np.isfinite(found.spacing_nm)]
    return {
        "precipitates number": float(len(found.n_atoms)),
        "precipitates volume fraction": found.volume_fraction,
        "precipitates mean diameter_nm": float(sizes.mean()),
        "precipitates largest diameter_nm": float(sizes.max()),
        "precipitates mean spacing_nm": float(spacings.mean()) if len(spacings) else 0.0,
    }


def _composition_map(job: SampleJob, atoms: Any) -> Mapping[str, Any]:
    """Read Pearson's mu of every species from the frequency distribution of blocks of 100 atoms."""
    from hea_sim.observables.composition_maps import frequency_distribution

    block = min(100, len(atoms) // 8)
    present = set(atoms.get_chemical_symbols())
    return {
        f"separation mu {symbol}": frequency_distribution(atoms, symbol, block_atoms=block).mu
        for symbol in job.composition.elements
        if symbol in present
    }


def _diffuse(job: SampleJob, atoms: Any) -> Mapping[str, Any]:
    from hea_sim.observables.diffuse_scattering import laue_intensity

    if job.start is not None or job.lattice is None or len(job.composition) < 2:
        return {}
    found = laue_intensity(atoms, job.lattice, size=job.size, species=job.composition.elements)
    return {"diffuse scattering hk0": found.plane(0.0)}


_READERS: dict[str, Callable[[SampleJob, Any], Mapping[str, Any]]] = {
    "order": _order,
    "rdf": _rdf,
    "distortion": _distortion,
    "structure-types": _structures,
    "precipitates": _precipitates,
    "composition-map": _composition_map,
    "diffuse-scattering": _diffuse,
}
