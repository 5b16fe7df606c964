"""The walk of a job: the cell it begins with, and the engine that moves it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hea_sim.errors import InputError, MissingFileError
from hea_sim.sampling.contract import Walk
from hea_sim.sampling.job import AT_ONCE, SampleJob
from hea_sim.sampling.job_models import ChosenModel
from hea_sim.sampling.job_sublattices import compositions_of, sublattice_species

#: Atoms of the small random cell whose lattice parameter at rest a job takes.
_AT_REST_ATOMS = 128
#: Sites from which the class layout is faster than the plain one.
_LARGE_SITES = 50_000


def make_walk(job: SampleJob, chosen: ChosenModel, rng: np.random.Generator, *, lattice_parameter_A: float) -> Walk:
    """Make the walk of one replica at the first temperature; `rng` is its own.

    Raises InputError where the cell is too small for the model's range, or the composition does not fit into it.
    """
    temperature_K = job.stages[0][0]
    if job.engine == "lattice":
        return _lattice_walk(job, chosen, temperature_K, rng, lattice_parameter_A)
    atoms = starting_atoms(job, rng, lattice_parameter_A)
    _check_room(atoms, chosen)
    if job.engine == "atoms":
        return _atoms_walk(job, chosen, atoms, temperature_K, rng)
    return _moving_walk(job, chosen, atoms, temperature_K, rng)


def check_job(job: SampleJob, chosen: ChosenModel, *, lattice_parameter_A: float) -> None:
    """Refuse a job of which no walk can be made, before a folder is claimed for it."""
    if job.engine == "lattice":
        _check_cell(job, chosen.lattice_model)
        lattice_start(job, chosen.lattice_model)
    else:
        _check_room(starting_atoms(job, np.random.default_rng(0), lattice_parameter_A), chosen)


def lattice_parameter_of(job: SampleJob, chosen: ChosenModel) -> float:
    """Give the lattice parameter of the cells of a job, in A: what it says, or what its model predicts.

    A pair model predicts that of the random alloy; for a potential a small random cell is scaled to rest, which needs
    no randomness beyond the job's seed; other lattice models take the volumes of the elements.
    """
    if job.lattice_parameter_A is not None:
        return job.lattice_parameter_A
    if job.start is not None:
        return 0.0  # the file says where atoms are
    if job.engine != "lattice":
        return _at_rest_A(job, chosen)
    from hea_sim.lattice.pairs import PairModel

    if isinstance(chosen.lattice_model, PairModel):
        from hea_sim.lattice.volume import predict_lattice_parameter

        return predict_lattice_parameter(chosen.lattice_model, job.composition, None, job.measured_at_K).value
    return _of_elements_A(job, chosen)


def _of_elements_A(job: SampleJob, chosen: ChosenModel) -> float:
    """Take the volumes of the elements."""
    from hea_sim.elements import vegard_volume_A3

    model: Any = chosen.lattice_model
    small = model.bound((1, 1, 1))
    first = np.array([held[0] for held in small.holds] or [0], np.int8)  # a species that each sublattice may hold
    unit = float(model.atoms(first[small.sublattice], (1, 1, 1), 1.0).get_volume())
    return float((len(small.sublattice) * vegard_volume_A3(job.composition).value / unit) ** (1 / 3))


def starting_atoms(job: SampleJob, rng: np.random.Generator, lattice_parameter_A: float) -> Any:
    """Give the atoms to begin with: those of `start`, or the alloy at random on its lattice."""
    if job.start is not None:
        return _read_start(job)
    from ase import Atoms

    from hea_sim.lattice.shells import lattice_points

    points = lattice_points(_cubic_lattice(job), job.size)
    counts = job.composition.counts(len(points))
    symbols = rng.permutation(np.repeat(list(counts), list(counts.values())))
    cell = np.array(job.size) * lattice_parameter_A
    return Atoms(symbols.tolist(), positions=points * (lattice_parameter_A / 2), cell=cell, pbc=True)


def _read_start(job: SampleJob) -> Any:
    from pathlib import Path

    from ase.io import read

    path = Path(str(job.start))
    if not path.is_file():
        raise MissingFileError(f"start: {path}: no such file; wanted a structure that ase reads (.extxyz, .cif ...)")
    try:
        atoms: Any = read(path)
    except Exception as error:  # its readers raise anything
        raise InputError(f"start: {path}: cannot be read as a structure ({error})") from error
    strangers = sorted(set(atoms.get_chemical_symbols()) - set(job.composition.elements))
    if strangers:
        raise InputError(f"start: {path} holds {', '.join(strangers)}, which alloy {job.alloy} does not name")
    _check_composition(job, atoms)
    atoms.calc = None
    return atoms


def _check_composition(job: SampleJob, atoms: Any) -> None:
    """Refuse a cell of another composition than the alloy's, which every result would be told of."""
    symbols = atoms.get_chemical_symbols()
    wanted = job.composition.counts(len(symbols))
    off = {
        s: n - symbols.count(s) for s, n in wanted.items() if abs(n - symbols.count(s)) > max(1, 0.01 * len(symbols))
    }
    if off and job.ensemble != "semi-grand":
        element = max(off, key=lambda s: abs(off[s]))
        raise InputError(
            f"start: {job.start} holds {symbols.count(element)} {element} of {len(symbols)} atoms, alloy {job.alloy}"
            f" {wanted[element]}; wanted the alloy of the cell"
        )


def _cubic_lattice(job: SampleJob) -> str:
    from hea_sim.lattice.shells import lattice_name

    if job.lattice is None:
        raise InputError(f"engine '{job.engine}' needs a lattice to build its cell; wanted lattice = 'bcc' or 'fcc'")
    return lattice_name(job.lattice)


def _check_room(atoms: Any, chosen: ChosenModel) -> None:
    """Refuse a cell in which an atom would meet its own image within the range of the potential."""
    cutoff = getattr(chosen.potential, "cutoff_A", None)
    if cutoff is None or not atoms.pbc.any():
        return
    heights = atoms.get_volume() / np.linalg.norm(
        np.cross(atoms.cell.array[[1, 2, 0]], atoms.cell.array[[2, 0, 1]]), axis=1
    )
    shortest = float(heights[atoms.pbc].min())
    if shortest < cutoff:
        raise InputError(
            f"the cell is {shortest:.2f} A across, potential {chosen.name} reaches {cutoff:.2f} A: an atom would meet"
            " its own image; wanted a larger size"
        )


def _at_rest_A(job: SampleJob, chosen: ChosenModel) -> float:
    """Scale a small random cell to the least energy; the same cell for every replica of a job."""
    from scipy.optimize import minimize_scalar

    from hea_sim.elements import vegard_volume_A3
    from hea_sim.lattice.shells import sites_per_cell

    lattice = _cubic_lattice(job)
    per_cell = sites_per_cell(lattice)
    edge = max(2, round((_AT_REST_ATOMS / per_cell) ** (1 / 3)))
    guess = float((per_cell * vegard_volume_A3(job.composition).value) ** (1 / 3))
    small = job.model_copy(update={"size": (edge, edge, edge)})
    atoms = starting_atoms(small, np.random.default_rng(job.seed), guess)

    def energy(scale: float) -> float:
        strained = atoms.copy()
        strained.set_cell(scale * atoms.cell, scale_atoms=True)
        return float(chosen.potential.evaluate(strained).energy_eV / len(atoms))

    best = minimize_scalar(energy, bounds=(0.92, 1.08), method="bounded", options={"xatol": 1e-5})
    if not 0.921 < best.x < 1.079:
        raise InputError(
            f"potential {chosen.name} has no {lattice} {job.alloy} at rest near {guess:.3f} A; give lattice_parameter_A"
        )
    return float(best.x * guess)


def _lattice_walk(
    job: SampleJob, chosen: ChosenModel, temperature_K: float, rng: np.random.Generator, a_A: float
) -> Walk:
    from hea_sim.sampling.lattice_walks import CanonicalWalk, SemiGrandWalk, VarianceConstrainedWalk

    model: Any = chosen.lattice_model
    _check_cell(job, model)
    begin = lattice_start(job, model)
    shared: dict[str, Any] = {"shells": job.shells, "a_A": a_A or None}
    if job.ensemble in AT_ONCE:
        return _walk_of_all(job, model, begin, rng, shared)
    if job.ensemble in ("semi-grand", "variance-constrained"):
        # Species of the model that the alloy does not name stay out of it.
        shared["allowed"] = [[s for s in held if s in job.composition] for held in sublattice_species(model)]
    if job.ensemble == "semi-grand":
        return SemiGrandWalk(
            model, job.size, begin, temperature_K, rng, chemical_potentials_eV=job.chemical_potentials_eV, **shared
        )
    if job.ensemble == "variance-constrained":
        target = dict(job.composition)
        return VarianceConstrainedWalk(
            model, job.size, begin, temperature_K, rng, target=target, kappa=job.kappa, **shared
        )
    if _by_classes(job, model):
        from hea_sim.sampling.class_walk import ClassWalk

        return ClassWalk(model, job.size, begin, temperature_K, rng, **shared)
    return CanonicalWalk(model, job.size, begin, temperature_K, rng, near_share=job.near_share, **shared)


def _walk_of_all(job: SampleJob, model: Any, begin: Any, rng: np.random.Generator, shared: Mapping[str, Any]) -> Walk:
    """Make a walk that samples all temperatures of the job."""
    if job.ensemble == "replica-exchange":
        from hea_sim.sampling.replica_exchange import ReplicaExchange

        threads = max(1, job.workers // job.replicas)
        settings = {"every": job.exchange_every, "threads": threads, "near_share": job.near_share, **shared}
        return ReplicaExchange(model, job.size, begin, job.ladder_K, rng, **settings)
    from hea_sim.sampling.wang_landau import WangLandau

    wanted = job.wang_landau
    return WangLandau(
        model, job.size, begin, min(job.ladder_K), rng, near_share=job.near_share, bins=wanted.bins,
        energy_range_eV_per_atom=wanted.energy_range_eV_per_atom, **shared,
    )  # fmt: skip


def _by_classes(job: SampleJob, model: Any) -> bool:
    """Tell whether the layout for large cells is taken: where it is asked for, or is faster and fits."""
    from hea_sim.lattice.pairs import PairModel

    if job.layout != "auto":
        return job.layout == "classes"
    sites = count_sites(job, model)
    if not isinstance(model, PairModel) or sites < _LARGE_SITES:
        return False
    from hea_sim.sampling.class_layout import class_layout

    energetic = [s for s in range(model.n_shells) if np.any(model.pair_energy_eV[s])]
    try:
        class_layout(model.lattice, job.size, energetic, counted=max(job.shells, model.n_shells))
    except InputError:  # a size that its classes do not divide
        return False
    return True


def _check_cell(job: SampleJob, model: Any) -> None:
    """Refuse a cell that is too small for the model's range, or that cannot hold every element of the alloy."""
    reach, cell = _reach_a(model)
    if _shortest_a(cell * np.array(job.size)[:, None]) <= reach + 1e-6:
        raise InputError(
            f"size {list(job.size)}: model {model.name} reaches {reach:.2f} lattice parameters, so that a site would"
            f" meet its own image; wanted at least {int(reach / _shortest_a(cell) + 1e-6) + 1} cells along each axis"
        )
    sites = count_sites(job, model)
    missing = [e for e, n in job.composition.counts(sites).items() if n == 0]
    if missing:
        raise InputError(
            f"size {list(job.size)}: {job.alloy} does not fit into {sites} sites, {', '.join(missing)} would get none;"
            " wanted a larger size"
        )


def _reach_a(model: Any) -> tuple[float, np.ndarray]:
    """Give how far a lattice model reaches, and its cell (3, 3), both in lattice parameters."""
    from hea_sim.lattice.pairs import PairModel
    from hea_sim.lattice.parents import shell_distances

    if isinstance(model, PairModel):
        return float(model.shell_distance_a[np.any(model.pair_energy_eV, axis=(1, 2))].max(initial=0.0)), np.eye(3)
    if hasattr(model, "space"):  # clusters
        used = (o.radius_a for o, e in zip(model.space.orbits, model.orbit_energies_eV, strict=True) if np.any(e))
        return max(used, default=0.0), model.space.parent.cell
    return float(shell_distances(model.parent, model.n_shells)[-1]), model.parent.cell


def _shortest_a(cell: np.ndarray) -> float:
    """Give the length of the shortest vector between images of a cell (3, 3)."""
    steps = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3), axis=-1).reshape(-1, 3)
    return float(np.linalg.norm(steps[steps.any(axis=1)] @ cell, axis=1).min())


def count_sites(job: SampleJob, model: Any) -> int:
    """Count the sites of the cell, without the tables of a large one where its lattice says it."""
    from hea_sim.lattice.shells import is_cubic, sites_per_cell

    if is_cubic(model.lattice):
        return sites_per_cell(model.lattice) * int(np.prod(job.size))
    return len(model.bound(job.size).sublattice)


def lattice_start(job: SampleJob, model: Any) -> Any:
    """Give what a walk on a lattice begins with: a cell from a file, the composition, or one for each sublattice."""
    return compositions_of(job, model) if job.start is None else _occupation_of(job, _read_start(job), model)


def _occupation_of(job: SampleJob, atoms: Any, model: Any) -> np.ndarray:
    from hea_sim.lattice.shells import is_cubic
    from hea_sim.observables.warren_cowley import cell_repeats

    if is_cubic(model.lattice) and (repeats := cell_repeats(atoms, model.lattice)) != tuple(job.size):
        raise InputError(f"start: the cell is one of size {list(repeats)}; wanted that of the job, {list(job.size)}")
    strangers = sorted(set(atoms.get_chemical_symbols()) - set(model.species))
    if strangers:
        raise InputError(f"start: the cell holds {', '.join(strangers)}, which model {model.name} does not know")
    return np.array([model.species.index(s) for s in atoms.get_chemical_symbols()], dtype=np.int8)


def _atoms_walk(
    job: SampleJob, chosen: ChosenModel, atoms: Any, temperature_K: float, rng: np.random.Generator
) -> Walk:
    from hea_sim.sampling.atom_exchange import AtomExchange, AtomReplacement

    if job.ensemble == "semi-grand":
        return AtomReplacement(
            atoms, chosen.potential, temperature_K, rng, chemical_potentials_eV=job.chemical_potentials_eV
        )
    near_A = _near_A(job, atoms) if job.near_share > 0 else None
    return AtomExchange(atoms, chosen.potential, temperature_K, rng, near_share=job.near_share, near_A=near_A)


def _near_A(job: SampleJob, atoms: Any) -> float:
    """Give a distance between the first and the second shell; for a cell from a file, by its volume per atom."""
    from hea_sim.lattice.shells import lattice_name, neighbour_shells, sites_per_cell

    lattice = lattice_name(job.lattice) if job.lattice else "A1"
    a_A = float((sites_per_cell(lattice) * atoms.get_volume() / len(atoms)) ** (1 / 3))
    first, second = (shell.distance_a for shell in neighbour_shells(lattice, 2))
    return a_A * (first + second) / 2


def _moving_walk(
    job: SampleJob, chosen: ChosenModel, atoms: Any, temperature_K: float, rng: np.random.Generator
) -> Walk:
    """Make molecular dynamics, or its alternation with exchanges."""
    moves = job.dynamics
    bath = "npt" if job.ensemble == "npt" else "nve" if job.ensemble == "nve" else moves.thermostat
    shared: dict[str, Any] = {
        "ensemble": bath,
        "timestep_fs": moves.timestep_fs,
        "friction_per_ps": 1e3 / moves.relaxation_fs,
        "thermostat_fs": moves.relaxation_fs,
        "pressure_GPa": moves.pressure_GPa,
    }
    if job.engine == "dynamics":
        from hea_sim.sampling.dynamics import Dynamics

        return Dynamics(atoms, chosen.potential, temperature_K, rng, **shared)
    from hea_sim.sampling.hybrid import Hybrid

    exchanges: dict[str, Any] = {
        "steps_per_cycle": moves.md_steps,
        "trials_per_cycle": max(1, round(moves.sweeps * len(atoms))),
    }
    if job.ensemble == "semi-grand":
        exchanges["chemical_potentials_eV"] = job.chemical_potentials_eV
    elif job.near_share > 0:
        exchanges |= {"near_share": job.near_share, "near_A": _near_A(job, atoms)}
    return Hybrid(atoms, chosen.potential, temperature_K, rng, **exchanges, **shared)
