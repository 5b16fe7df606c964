import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hea_sim.errors import HEAError, InputError
from hea_sim.lattice.pairs import load_lattice_model
from hea_sim.sampling import anneal


def run(alloy="NbMoTaW", temperatures=(2000, 800), seed=0, **more):
    settings_ = {"size": (4, 4, 4), "sweeps": 30, "equilibration_sweeps": 20} | more
    return anneal(alloy, temperatures_K=temperatures, seed=seed, **settings_)


def test_same_seed_same_bits_on_any_number_of_threads():
    import numba

    before = numba.get_num_threads()
    results = []
    try:
        for threads in (1, before):
            numba.set_num_threads(threads)
            results.append(run())
    finally:
        numba.set_num_threads(before)
    a, b = results
    assert a.trace["energy_eV_per_atom"].tobytes() == b.trace["energy_eV_per_atom"].tobytes()
    assert a.atoms.numbers.tobytes() == b.atoms.numbers.tobytes()
    assert a.warren_cowley.tobytes() == b.warren_cowley.tobytes()
    assert run(seed=1).atoms.numbers.tobytes() != a.atoms.numbers.tobytes()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0.05, 1), min_size=2, max_size=5), st.integers(0, 1000))
def test_energy_and_composition_are_kept(amounts, seed):
    elements = ("Nb", "Mo", "Ta", "Ti", "V")[: len(amounts)]
    result = run(dict(zip(elements, amounts, strict=True)), model="nbmotativ-pairs", seed=seed, size=(3, 3, 2),
                 temperatures=(3000, 500), sweeps=12)  # fmt: skip
    model = load_lattice_model("nbmotativ-pairs")
    occupation = model.indices(result.atoms.get_chemical_symbols())
    assert result.trace["energy_eV_per_atom"][-1] == pytest.approx(
        model.energy_eV_per_atom(occupation, (3, 3, 2)), abs=1e-10
    )
    counts = {e: result.atoms.get_chemical_symbols().count(e) for e in elements}
    total = sum(amounts)
    assert all(abs(counts[e] - 36 * a / total) <= 1 for e, a in zip(elements, amounts, strict=True))


def test_record_is_whole():
    result = run()
    assert result.model == "nbmotaw-pairs"
    assert result.species == ("Nb", "Mo", "Ta", "W")
    assert "phase bcc is an input of this simulation" in result.notes
    assert result.equilibration_temperature_K == 800
    assert len(result.atoms) == 128
    assert result.atoms.cell.lengths()[0] == pytest.approx(4 * result.lattice_A.value)
    assert result.shells_A[0] == pytest.approx(np.sqrt(3) / 2 * result.lattice_A.value)
    assert result.warren_cowley.shape == result.warren_cowley_std.shape == (3, 4, 4)
    assert result.card["name"] == "nbmotaw-pairs"
    assert 0 < result.acceptance < 1
    assert len(result.trace["energy_eV_per_atom"]) == 70


def test_order_sets_in_through_molybdenum_and_tantalum():
    hot = run(temperatures=(3000,), size=(8, 8, 8), sweeps=60)
    cold = run(temperatures=(3000, 1500, 1000, 700, 500, 300), size=(8, 8, 8), sweeps=60)
    mo, ta = cold.species.index("Mo"), cold.species.index("Ta")
    assert cold.warren_cowley[0, mo, ta] < -1.0
    assert -0.2 < hot.warren_cowley[0, mo, ta] < -0.03
    assert cold.energy_eV_per_atom.value < hot.energy_eV_per_atom.value - 0.02
    occupancy = cold.trace["sublattice_occupancy"]
    assert abs(occupancy[0, mo] - occupancy[1, mo]) > 0.15
    assert (occupancy[0, mo] - occupancy[1, mo]) * (occupancy[0, ta] - occupancy[1, ta]) < 0


def test_heating_follows_cooling_where_nothing_orders_and_lags_where_it_does():
    """Up and down the same temperatures: equal energies when hot; the trace of the way down is that without heating."""
    up = run(temperatures=(3000, 2000, 1500), size=(6, 6, 6), equilibration_sweeps=200, heating=True)
    down = run(temperatures=(3000, 2000, 1500), size=(6, 6, 6), equilibration_sweeps=200)
    assert np.array_equal(up.trace["energy_eV_per_atom"], down.trace["energy_eV_per_atom"])
    assert up.atoms == down.atoms and "heating_energy_eV_per_atom" not in down.trace
    cooling, heating = up.trace["cooling_energy_eV_per_atom"], up.trace["heating_energy_eV_per_atom"]
    assert (np.diff(cooling) < 0).all() and (np.diff(heating) < 0).all()
    assert np.abs(cooling - heating).max() < 0.1 * (cooling[0] - cooling[-1])


def test_pure_metal_and_rare_element_do_not_fail():
    assert run("Nb").acceptance == 0
    rare = run({"Nb": 1, "Mo": 1e-4})
    assert np.isnan(rare.warren_cowley[0, 1, 1])
    assert np.isfinite(rare.lattice_A.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alloy": "CoCrFeMnNi"}, "CoCrFeMnNi has no lattice model: shipped are .*nbmotaw-pairs .*elemental volumes"),
        ({"alloy": "NbTi", "model": "nbmotaw-pairs"}, "has no Ti"),
        ({"model": "nbmotaw"}, "did you mean 'nbmotaw-pairs'"),
        ({"lattice": "fcc"}, "no lattice model on A1"),
        ({"lattice": "fcc", "model": "nbmotaw-pairs"}, "is for A2; got lattice A1"),
        ({"lattice": "hcp"}, "unknown lattice"),
        ({"temperatures": ()}, "positive numbers"),
        ({"temperatures": (0,)}, "positive numbers"),
        ({"temperatures": (float("nan"),)}, "positive numbers"),
        ({"seed": -1}, "seed"),
        ({"sweeps": 0}, "sweeps"),
        ({"heating": True, "equilibration_sweeps": 0}, "heating"),
        ({"size": (4, 4)}, "three whole numbers"),
    ],
)
def test_bad_input_says_what_to_do(change, message):
    with pytest.raises(HEAError, match=message):
        run(**change)


def test_errors_are_builtins_too():
    with pytest.raises(ValueError) as caught:
        run("CoCrFeMnNi")
    assert isinstance(caught.value, InputError)
