"""Systems and potentials for the tests of moment tensor potentials."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk

from hea_sim.potentials.fitting.families import model_arrays
from hea_sim.potentials.mtp import MtpModel, new_mtp
from hea_sim.registry.cards import DataSource, ModelCard, Score, save_model


def alloy(elements=("Nb", "Mo", "Ta"), size=2, a_A=3.25, structure="bcc", seed=0) -> Atoms:
    rng = np.random.default_rng(seed)
    atoms = bulk("Nb", structure, a=a_A, cubic=True).repeat(size)
    atoms.symbols = rng.choice(elements, len(atoms))
    atoms.set_cell(atoms.cell + 0.1 * rng.standard_normal((3, 3)), scale_atoms=True)
    atoms.positions += 0.12 * rng.standard_normal(atoms.positions.shape)
    return atoms


def cluster(n, seed, elements=("Nb", "Mo", "Ta")) -> Atoms:
    """Draw atoms in the open, none nearer than 1.8 A: some without neighbours, some with many."""
    rng = np.random.default_rng(seed)
    places = [np.zeros(3)]
    while len(places) < n:
        new = 2.2 * n ** (1 / 3) * rng.uniform(-1, 1, 3) * (1.5 if len(places) % 5 else 3)
        if min(np.linalg.norm(new - old) for old in places) > 1.8:
            places.append(new)
    return Atoms(rng.choice(elements, n), positions=places)


def potential(level=8, cutoff_A=4.6, elements=("Nb", "Mo", "Ta"), seed=3, **changes) -> MtpModel:
    """Make a potential whose forces are of the order of 1 eV/A, no two pairs of elements alike."""
    model = new_mtp(elements, level, cutoff_A, seed=seed, **changes)
    spread = np.random.default_rng(seed).uniform(0.5, 1.5, model.radial.shape)
    model = replace(model, radial=model.radial * spread)
    constants = np.arange(len(elements)) - 9.5
    return model.with_coefficients(np.concatenate([constants, model.linear_eV]))


def saved(folder: Path, name: str = "toy", **settings) -> MtpModel:
    """Keep an untrained potential of Nb and Mo in a folder, as a fit does."""
    model = new_mtp(["Nb", "Mo"], 6, 4.5, 4, seed=1)
    arrays, own = model_arrays(model, None)
    card = ModelCard(
        name=name,
        kind="potential",
        elements=model.elements,
        data=(DataSource(name="none", source="random numbers", licence="none"),),
        scores={"none": Score(value=0.0, unit="1", how="not fitted")},
        seeds={"coefficients": 1},
        remake="see the test",
        licence="GPL-3.0-or-later",
        citation="none",
        settings={**own, **settings},
    )
    save_model(folder, card, arrays)
    return model
