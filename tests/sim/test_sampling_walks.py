"""Walks on a lattice: twins, cut and resumed, threads, refusals; replica exchange, Wang-Landau against enumeration."""

from itertools import combinations

import numpy as np
import pytest

from hea_sim.errors import HEAError, InputError
from hea_sim.lattice.pairs import load_lattice_model
from hea_sim.sampling import specialised as specialised_module
from hea_sim.sampling.class_layout import class_layout
from hea_sim.sampling.class_walk import ClassWalk
from hea_sim.sampling.lattice_kernels import exchange_loop
from hea_sim.sampling.lattice_walks import (
    CanonicalWalk,
    SemiGrandWalk,
    VarianceConstrainedWalk,
)
from hea_sim.sampling.random_streams import random_bits, uniform
from hea_sim.sampling.replica_exchange import ReplicaExchange
from hea_sim.sampling.wang_landau import WangLandau
from hea_sim.units import BOLTZMANN_EV_PER_K

from ..laws.test_monte_carlo import all_states, random_model

SETTINGS = {
    CanonicalWalk: {},
    SemiGrandWalk: {"chemical_potentials_eV": {"Nb": 0.1, "Ta": -0.1}},
    VarianceConstrainedWalk: {"target": "NbMoTa", "kappa": 2.0},
    ClassWalk: {},
    WangLandau: {"bins": 20},
}


@pytest.fixture(scope="module")
def model():
    return load_lattice_model("nbmotativ-pairs")


def walk_of(kind, model, seed=8, **more):
    return kind(model, (4, 2, 2), "NbMoTaTi", 1500.0, np.random.default_rng(seed), **SETTINGS[kind], **more)


@pytest.mark.parametrize("kind", [CanonicalWalk, SemiGrandWalk, VarianceConstrainedWalk, WangLandau])
def test_a_compiled_walk_is_its_plain_twin(kind, model):
    fast, slow = (walk_of(kind, model, compiled=compiled) for compiled in (True, False))
    fast.advance(12)
    slow.advance(12)
    assert np.array_equal(fast.occupation, slow.occupation)
    assert (fast.trials, fast.accepted) == (slow.trials, slow.accepted)
    assert 0 < fast.accepted <= fast.trials
    assert fast.energy_eV == pytest.approx(slow.energy_eV, abs=1e-12)
    assert fast.energy_eV == pytest.approx(model.energy_eV_per_atom(fast.occupation, (4, 2, 2)) * 32, abs=1e-9)


@pytest.mark.parametrize("kind", list(SETTINGS))
def test_a_walk_cut_and_resumed_is_the_unbroken_one(kind, model):
    whole, first = walk_of(kind, model), walk_of(kind, model)
    whole.advance(30)
    first.advance(10)
    kept = {name: value.copy() for name, value in first.state().items()}
    assert all(isinstance(value, np.ndarray) and value.dtype != object for value in kept.values())
    first.advance(3)
    second = walk_of(kind, model)
    second.restore(kept)
    second.advance(20)
    for name, value in whole.state().items():
        assert value.tobytes() == second.state()[name].tobytes(), name
    assert whole.atoms() == second.atoms()
    assert walk_of(kind, model, seed=9).occupation.tobytes() != walk_of(kind, model).occupation.tobytes()


@pytest.mark.parametrize("kind", list(SETTINGS))
def test_another_walks_state_is_refused(kind, model):
    walk = walk_of(kind, model)
    other = CanonicalWalk(model, (4, 2, 2), "NbMo", 1500.0, np.random.default_rng(0)).state()
    with pytest.raises(InputError, match="another walk"):
        walk.restore(other)
    with pytest.raises(InputError, match="another kind of walk"):
        walk.restore({})


@pytest.mark.parametrize("kind", list(SETTINGS))
def test_what_is_observed(kind, model):
    walk = walk_of(kind, model)
    walk.advance(5)
    seen = walk.observe()
    pairs = np.asarray(seen["pair_fractions"])
    assert pairs.shape == (3, 5, 5)
    assert np.allclose(pairs, pairs.transpose(0, 2, 1)) and np.allclose(pairs.sum(axis=(1, 2)), 1)
    assert np.allclose(pairs.sum(axis=2), seen["fractions"])
    assert seen["trials"] >= seen["accepted"] > 0
    if kind is not WangLandau:
        expected = model.energy_eV_per_atom(walk.occupation, (4, 2, 2))
        assert seen["energy_eV_per_atom"] == pytest.approx(expected, abs=1e-9)


def test_a_large_cell_is_the_same_for_any_number_of_threads(model):
    import numba

    before, found = numba.get_num_threads(), []
    try:
        for threads in (1, before):
            numba.set_num_threads(threads)
            walk = ClassWalk(model, (36, 36, 36), "NbMoTaTiV", 1500.0, np.random.default_rng(2))
            walk.advance(1)
            found.append(walk.state())
    finally:
        numba.set_num_threads(before)
    assert walk.layout.sites_per_class > 4096  # else no threads are used
    assert all(found[0][name].tobytes() == found[1][name].tobytes() for name in found[0])


@pytest.mark.parametrize(
    ("lattice", "size", "shells"), [("A2", (8, 6, 4), 5), ("A1", (4, 8, 6), 2), ("A_h", (8, 6, 1), 1)]
)
def test_energy_changes_of_launches_are_the_recounted_ones(lattice, size, shells):
    walk_model = random_model(3, shells=shells, n=3, lattice=lattice)
    sites = len(walk_model.bound(size).nearest)
    start = np.random.default_rng(0).permutation(np.arange(sites) % 3)
    walk = ClassWalk(walk_model, size, start, 3000.0, np.random.default_rng(1))
    energy = walk_model.energy_eV_per_atom(start, size) * sites
    assert walk.energy_eV == pytest.approx(energy, abs=1e-9)
    for k in range(40):
        change = walk.launch(within=k % 2 == 0)
        now = walk_model.energy_eV_per_atom(walk.occupation, size) * sites
        assert now - energy == pytest.approx(change, abs=1e-5)  # single precision of some hundred changes
        energy = now
    assert walk.accepted > 10
    assert np.array_equal(np.bincount(walk.occupation), np.bincount(start))


@pytest.mark.parametrize(
    ("lattice", "size", "shells", "classes"),
    [("A2", (4, 6, 8), 5, 16), ("A1", (4, 2, 6), 4, 32), ("A_h", (6, 4, 1), 1, 4), ("A2", (2, 3, 4), 1, 2)],
)
def test_classes_hold_no_neighbours_and_shifts_lead_to_them(lattice, size, shells, classes):
    from hea_sim.lattice.shells import neighbour_table

    layout = class_layout(lattice, size, range(shells))
    tables = neighbour_table(lattice, size, shells)
    number = layout.sorted(np.arange(len(tables[0])))
    assert layout.classes == classes
    assert np.array_equal(layout.unsorted(number), np.arange(len(tables[0])))
    for c in range(classes):
        for s in range(shells):
            shifted = [
                np.roll(number[e], (-dx, -dy, -dz), (0, 1, 2))
                for e, dx, dy, dz in layout.bonds[c, layout.shell_of == s]
            ]
            for k in np.ndindex(layout.shape):
                site = number[c][k]
                others = [n for n in tables[s][site] if n != site]
                assert sorted(one[k] for one in shifted) == sorted(others)
                assert not set(others) & set(number[c].ravel())


def test_random_numbers_are_splitmix64_and_even():
    """The first numbers of the stream of key 0 are those published with the generator's reference code for seed 0."""
    with np.errstate(over="ignore"):
        first = [int(random_bits(np.uint64(0), np.uint64(k))) for k in range(3)]
        drawn = np.array([uniform(np.uint64(77), np.uint64(k)) for k in range(20_000)])
    assert first == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert 0 <= drawn.min() and drawn.max() < 1
    counts = np.bincount((drawn * 50).astype(int), minlength=50)
    assert ((counts - 400) ** 2 / 400).sum() < 100  # chi-square of 49 degrees of freedom
    assert abs(np.corrcoef(drawn[1:], drawn[:-1])[0, 1]) < 0.03


def test_a_read_only_cache_folder_is_no_obstacle(monkeypatch, model):
    import numba

    compiled = numba.njit

    def refusing(*args, **options):
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return compiled(*args, **options)

    monkeypatch.setattr(numba, "njit", refusing)
    specialised_module.specialised.cache_clear()
    run = specialised_module.specialised(exchange_loop, model.bound((2, 2, 2)).energy_change)
    specialised_module.specialised.cache_clear()
    assert callable(run) and run.__name__.startswith("exchange_loop_pair_energy_change_")


@pytest.mark.parametrize("threads", [1, 2])
def test_replicas_that_trade_places_keep_the_distribution_of_each_temperature(threads):
    small, size, ladder = random_model(1), (2, 2, 1), [800.0, 1500.0, 3000.0]
    states = all_states((4, 2, 2))
    energies = np.array([small.energy_eV_per_atom(s, size) for s in states]) * 8
    walk = ReplicaExchange(small, size, states[0], ladder, np.random.default_rng(3), threads=threads)
    walk.advance(50)
    seen = []
    for _ in range(1500):
        walk.advance(2)
        seen.append([one.energy_eV for one in walk.walks])
        assert [one.temperature_K for one in walk.walks] == ladder
    for temperature, energy in zip(ladder, np.array(seen).T, strict=True):
        weight = np.exp(-(energies - energies.min()) / (BOLTZMANN_EV_PER_K * temperature))
        mean = weight @ energies / weight.sum()
        spread = np.sqrt(weight @ (energies - mean) ** 2 / weight.sum() / len(energy))
        assert abs(energy.mean() - mean) < 5 * spread
    rates = np.asarray(walk.observe()["trade_rates"])
    assert ((rates > 0.05) & (rates < 1)).all()
    again = ReplicaExchange(small, size, states[0], ladder, np.random.default_rng(99), threads=1)
    again.restore(walk.state())
    again.advance(7)
    walk.advance(7)
    assert all(walk.state()[name].tobytes() == again.state()[name].tobytes() for name in walk.state())


def test_wang_landau_finds_the_density_of_states():
    small, size = random_model(2, n=2), (2, 2, 1)
    states = np.array([np.isin(range(8), k) for k in combinations(range(8), 3)], np.int8)
    energies = np.array([small.energy_eV_per_atom(s, size) for s in states])
    edges = (energies.min() - 1e-6, energies.max() + 1e-6)
    walk = WangLandau(small, size, states[0], 1000.0, np.random.default_rng(0), bins=60, energy_range_eV_per_atom=edges)
    walk.advance(60_000)
    assert walk.step < 1e-3
    exact = np.histogram(energies, bins=60, range=edges)[0]
    assert np.array_equal(np.isfinite(walk.log_states), exact > 0)
    assert np.exp(walk.log_states).sum() == pytest.approx(len(states))
    assert np.abs(walk.log_states[exact > 0] - np.log(exact[exact > 0])).max() < 0.1
    for temperature in (300.0, 1000.0, 5000.0):
        beta = 8 / (BOLTZMANN_EV_PER_K * temperature)
        weight = np.exp(-beta * (energies - energies.min()))
        mean = weight @ energies / weight.sum()
        found = walk.canonical(temperature)
        assert found["energy_eV_per_atom"] == pytest.approx(mean, abs=0.02 * np.ptp(energies))
        free = energies.min() - np.log(weight.sum()) / beta
        assert found["free_energy_eV_per_atom"] == pytest.approx(free, abs=0.1 / beta)


def test_wang_landau_seeks_its_range(model):
    walk = walk_of(WangLandau, model)
    walk.advance(200)
    assert np.isfinite(walk.log_states).sum() > 10
    assert walk.canonical(3000.0)["energy_eV_per_atom"] > walk.canonical(600.0)["energy_eV_per_atom"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature_K": -5.0}, "temperature_K is -5.0; wanted a positive number below"),
        ({"temperature_K": float("nan")}, "temperature_K"),
        ({"start": "NbFe"}, "has no Fe; it knows"),
        ({"start": np.zeros(5, int)}, r"wanted whole numbers \(32,\)"),
        ({"start": np.full(32, 9)}, "wanted 0 to 4"),
        ({"start": np.zeros(32)}, "wanted whole numbers"),
        ({"size": (2, 2)}, "three whole numbers"),
        ({"near_share": 1.5}, "share from 0 to 1"),
    ],
)
def test_bad_input_is_refused(change, message, model):
    given = {"size": (4, 2, 2), "start": "NbMo", "temperature_K": 1000.0} | change
    with pytest.raises(HEAError, match=message):
        CanonicalWalk(model, rng=np.random.default_rng(0), **given)


def test_bad_settings_of_other_walks_are_refused(model):
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="no split into independent classes"):
        ClassWalk(model, (5, 5, 5), "NbMo", 1000.0, rng)
    with pytest.raises(InputError, match="chemical potential: got"):
        SemiGrandWalk(model, (2, 2, 2), "Nb", 1000.0, rng, chemical_potentials_eV={"Nb": float("inf")})
    with pytest.raises(InputError, match="starts with species that it may not hold"):
        SemiGrandWalk(model, (2, 2, 2), "Nb", 1000.0, rng, chemical_potentials_eV={}, allowed=[["Mo", "Ta"]])
    with pytest.raises(InputError, match="kappa: got -1"):
        VarianceConstrainedWalk(model, (2, 2, 2), "Nb", 1000.0, rng, target="NbMo", kappa=-1)
    with pytest.raises(InputError, match="two or more, all different"):
        ReplicaExchange(model, (2, 2, 2), "NbMo", [1000.0], rng)
    with pytest.raises(InputError, match="does not hold the start"):
        WangLandau(model, (2, 2, 2), "NbMo", 1000.0, rng, energy_range_eV_per_atom=(1.0, 2.0))


def test_allowed_species_are_kept_to(model):
    walk = SemiGrandWalk(
        model, (3, 3, 3), "NbMo", 2000.0, np.random.default_rng(0),
        chemical_potentials_eV={}, allowed=[["Nb", "Mo", "Ta"]],
    )  # fmt: skip
    walk.advance(50)
    assert set(np.unique(walk.occupation)) == set(model.indices(["Nb", "Mo", "Ta"]))
