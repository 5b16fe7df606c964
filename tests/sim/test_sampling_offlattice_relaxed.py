"""Exchanges with relaxation: exact enumeration of inherent structures, bounds of local relaxation, the contract."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from scipy import stats

from hea_sim.errors import InputError, UnknownNameError
from hea_sim.potentials.environment import find_neighbours
from hea_sim.potentials.zhou import zhou_eam
from hea_sim.sampling.local_energies import SiteEnergies
from hea_sim.sampling.relaxed_exchange import RelaxedEnergies, RelaxedExchange
from hea_sim.units import BOLTZMANN_EV_PER_K

EAM = zhou_eam(["Mo", "Ta", "W"])


def crystal(size, symbols="Ta", other=0, seed=0) -> Atoms:
    atoms = bulk("Ta", "bcc", a=3.25, cubic=True).repeat(size)
    chosen = np.array([symbols] * len(atoms), dtype="<U2")
    chosen[np.random.default_rng(seed).permutation(len(atoms))[:other]] = "Mo"
    atoms.symbols = list(chosen)
    return atoms


def test_relaxed_exchanges_visit_arrangements_as_their_energies_at_rest_say():
    atoms = crystal((2, 2, 1), other=2)
    atoms.set_cell(atoms.cell.array * [1.04, 0.97, 1.0], scale_atoms=True)
    atoms.rattle(0.12, seed=4)  # places at rest do not hang on it, energies at the places themselves do
    rest, rigid, states = [], [], []
    for two in combinations(range(8), 2):
        one = atoms.copy()
        one.symbols = ["Mo" if k in two else "Ta" for k in range(8)]
        rest.append(RelaxedEnergies(EAM, one, "whole", 3.0, 1e-4, 1.0).energy_eV)
        rigid.append(EAM.evaluate(one).energy_eV)
        states.append(two)
    rest, rigid = np.array(rest), np.array(rigid)
    assert (rest < rigid).all()
    kT = np.ptp(rest) / 3
    temperature = kT / BOLTZMANN_EV_PER_K
    walk = RelaxedExchange(atoms, EAM, temperature, np.random.default_rng(2), relax="whole", fmax_eV_per_A=1e-4,
                           trials_per_step=25)  # fmt: skip
    seen = np.zeros(28)
    for _ in range(700):
        walk.advance(1)
        seen[states.index(tuple(np.flatnonzero(walk.energies.kinds == 0)))] += 1

    def p_of(energy: np.ndarray) -> float:
        weight = np.exp(-(energy - energy.min()) / kT)
        return float(stats.chisquare(seen, weight / weight.sum() * seen.sum()).pvalue)

    assert np.unique(np.round(rest, 4)).size >= 3
    assert p_of(rest) > 1e-3 and p_of(rigid) < 1e-6
    present = walk.atoms()
    assert np.abs(EAM.evaluate(present).forces_eV_per_A).max() < 1e-3
    assert EAM.evaluate(present).energy_eV == pytest.approx(walk.energy_eV, abs=1e-6)


def test_relaxing_the_surroundings_lies_between_not_relaxing_and_relaxing_all():
    atoms = crystal(4, other=40, seed=3)
    whole = RelaxedEnergies(EAM, atoms, "whole", 3.4, 1e-4, 1.0)
    near = {reach: RelaxedEnergies(EAM, atoms, "near", reach, 1e-4, 1.0) for reach in (3.4, 4.9)}
    first = np.flatnonzero(whole.kinds == 0)[:2]
    second = np.flatnonzero(whole.kinds == 1)[[3, 60]]
    never = np.array([-np.inf])
    at_rest = whole._frame.copy()
    at_rest.positions, at_rest.numbers = whole.positions, whole._numbers[whole.kinds]
    still = SiteEnergies(EAM, find_neighbours([at_rest], EAM.cutoff_A))
    for a, b in zip(first, second, strict=True):
        pair = np.array([a]), np.array([b])
        changes = [engine.exchange(*pair, never).change_eV[0] for engine in (still, near[3.4], near[4.9], whole)]
        assert changes[0] > changes[1] > changes[2] > changes[3] - 1e-6
        # Much of what relaxation gives comes from the nearest atoms.
        assert changes[0] - changes[1] > 0.4 * (changes[0] - changes[3])
    kinds, places = near[3.4].kinds.copy(), near[3.4].positions.copy()
    near[3.4].exchange(first[:1], second[:1], never)
    assert np.array_equal(near[3.4].kinds, kinds) and np.array_equal(near[3.4].positions, places)


def test_relaxing_all_atoms_as_surroundings_is_relaxing_the_whole():
    atoms = crystal(2, other=6, seed=1)
    whole, near = (RelaxedEnergies(EAM, atoms, way, 6.0, 1e-5, 1.0) for way in ("whole", "near"))
    first, second = np.flatnonzero(whole.kinds == 0)[:3], np.flatnonzero(whole.kinds == 1)[:3]
    always = np.full(3, np.inf)
    assert near.exchange(first, second, always).change_eV == pytest.approx(
        whole.exchange(first, second, always).change_eV, abs=1e-6
    )


def make(relax: str, seed: int = 0) -> RelaxedExchange:
    return RelaxedExchange(crystal(3, other=20, seed=2), EAM, 1500, np.random.default_rng(seed), relax=relax,
                           near_A=3.4, trials_per_step=4, settle_every=2, fmax_eV_per_A=5e-3)  # fmt: skip


@pytest.mark.parametrize("relax", ["near", "whole"])
def test_a_relaxed_walk_advances_in_parts_and_from_a_kept_state_as_at_once(relax):
    whole, parts, resumed = make(relax), make(relax), make(relax, seed=5)
    whole.advance(5)
    parts.advance(2)
    kept = {key: value.copy() for key, value in parts.state().items()}
    parts.advance(3)
    resumed.restore(kept)
    resumed.advance(3)
    for other in (parts, resumed):
        assert other.energy_eV == whole.energy_eV and other.atoms() == whole.atoms()
        assert str(other.observe()) == str(whole.observe())
    assert 0 < whole.accepted < whole.trials
    if relax == "near":
        # The residue is what the atoms farther away still give: less than kT an exchange here.
        assert -1e-6 < whole.observe()["residue_eV"] < BOLTZMANN_EV_PER_K * 1500
    with pytest.raises(InputError, match="another walk"):
        make("near" if relax == "whole" else "whole").restore(kept)


@pytest.mark.parametrize(
    ("change", "text", "kind"),
    [
        ({"relax": "nearby"}, "did you mean 'near'", UnknownNameError),
        ({"near_A": 20.0}, "near_A 20.0", InputError),
        ({"fmax_eV_per_A": 0.0}, "fmax_eV_per_A 0.0", InputError),
        ({"settle_every": 0}, "settle_every 0", InputError),
        ({"temperature_K": -1.0}, "temperature_K is -1.0", InputError),
    ],
)
def test_bad_input_is_said_in_one_line(change, text, kind):
    given = {"atoms": crystal(2, other=3), "potential": EAM, "temperature_K": 300.0} | change
    with pytest.raises(kind, match=text) as caught:
        RelaxedExchange(rng=np.random.default_rng(0), **given)
    assert "\n" not in str(caught.value)


def test_replacements_are_not_relaxed():
    with pytest.raises(InputError, match="AtomReplacement"):
        make("near").energies.replace(np.array([0]), np.array([1]), np.array([0.0]), np.zeros(3))
