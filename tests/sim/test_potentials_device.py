"""MTPs on a device equal the plain formulas, in chunks, from padded buffers, and with neighbours found there."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from hea_sim.errors import InputError, UnknownNameError
from hea_sim.potentials.cell_lists import device_neighbours
from hea_sim.potentials.checks import check_potential, raise_if_failed
from hea_sim.potentials.contract import SitePotential
from hea_sim.potentials.environment import find_neighbours
from hea_sim.potentials.mtp import plain_site_terms
from hea_sim.potentials.mtp_device import CapturedTerms, DeviceMtp, _Captured, on_device
from hea_sim.potentials.mtp_layers import LayerTerms

from .mtp_systems import alloy, cluster, potential


def box(cells=(4, 5, 4), seed=0, spread_A=0.15) -> Atoms:
    rng = np.random.default_rng(seed)
    atoms = bulk("Nb", "bcc", a=3.25, cubic=True).repeat(cells)
    atoms.symbols = rng.choice(["Nb", "Mo", "Ta"], len(atoms))
    atoms.positions += spread_A * rng.standard_normal(atoms.positions.shape)
    return atoms


def listed(atoms, reach_A):
    return device_neighbours(torch.tensor(atoms.positions), torch.tensor(atoms.cell.lengths()), reach_A)


@pytest.mark.parametrize("chunk", [5, 512])
@pytest.mark.parametrize("level", [2, 4, 6, 12, 16])
def test_it_equals_the_formulas(level, chunk):
    model = potential(level, cutoff_A=4.8)
    environment = find_neighbours([alloy(seed=1), cluster(9, 0), alloy(size=1, seed=2)], 5.5)
    energies, gradients = plain_site_terms(model, environment)
    found = on_device(model, "cpu", "float64", chunk=chunk).site_terms(environment)
    np.testing.assert_allclose(found[0], energies, rtol=0, atol=1e-10)
    np.testing.assert_allclose(found[1], gradients, rtol=0, atol=1e-10)
    far = np.linalg.norm(environment.vectors, axis=1) > model.cutoff_A
    assert far.any() and not found[1][far].any()


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(1, 23),
    seed=st.integers(0, 10**6),
    level=st.sampled_from([2, 6, 8]),
    polynomials=st.integers(1, 9),
    species=st.integers(1, 4),
    chunk=st.integers(1, 30),
)
def test_it_equals_the_kernel_of_the_cpu_for_any_atoms(n, seed, level, polynomials, species, chunk):
    elements = ("Nb", "Mo", "Ta", "W")[:species]
    model = potential(level, elements=elements, radial_functions=polynomials, seed=seed)
    environment = find_neighbours([cluster(n, seed, elements)], model.cutoff_A + 0.7)
    energies, gradients = model.site_terms(environment)
    found = on_device(model, "cpu", "float64", chunk=chunk).site_terms(environment)
    np.testing.assert_allclose(found[0], energies, rtol=0, atol=1e-10)
    np.testing.assert_allclose(found[1], gradients, rtol=0, atol=1e-10)


@pytest.mark.parametrize("level", [6, 12, 16])
def test_single_precision_is_off_by_a_hundred_roundings_at_most(level):
    model = potential(level, cutoff_A=5.0)
    environment = find_neighbours([alloy(size=3)], 5.0)
    energies, gradients = plain_site_terms(model, environment)
    found = on_device(model, "cpu", "float32").site_terms(environment)
    assert (found[0].dtype, found[1].dtype) == (np.float64, np.float32)
    own = energies - model.species_eV[environment.indices_of(model.elements)]
    roundings = 100 * np.finfo(np.float32).eps
    np.testing.assert_allclose(found[0], energies, rtol=0, atol=roundings * np.abs(own).max())
    np.testing.assert_allclose(found[1], gradients, rtol=0, atol=roundings * np.abs(gradients).max())


def test_it_keeps_all_laws():
    model = on_device(potential(8), "cpu", "float64", chunk=7)
    raise_if_failed(check_potential(SitePotential(name="mtp on a device", model=model)))


def test_atoms_without_neighbours_have_the_constants_of_their_species():
    model = potential()
    device = on_device(model, "cpu")
    for distance in (20.0, model.cutoff_A + 0.2):  # no pair at all; a pair in the skin alone
        environment = find_neighbours([Atoms("NbTa", [[0, 0, 0], [0, 0, distance]])], model.cutoff_A + 0.5)
        energies, gradients = device.site_terms(environment)
        assert energies.tolist() == model.species_eV[[0, 2]].tolist() and not gradients.any()


def test_the_ase_face_takes_it():
    model, atoms = potential(), alloy(seed=4)
    faces = [SitePotential(name="x", model=m).calculator() for m in (model, on_device(model, "cpu", "float64"))]
    for moved in range(2):
        atoms.positions += 0.01 * moved
        (one, other) = (face.get_forces(atoms) for face in faces)
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-10)


class NothingWaits(TorchDispatchMode):
    """Refuse what a CUDA graph cannot record: reading a number, shapes that follow from data, data from the host."""

    refused = ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "bincount", "equal", "lift_fresh")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in self.refused or (name == "index" and any(i is not None and i.dtype == torch.bool for i in args[1])):
            raise AssertionError(f"a CUDA graph cannot record {name}")
        return func(*args, **(kwargs or {}))


def test_a_cuda_graph_can_record_every_step():
    terms = LayerTerms(potential(12), dtype=torch.float32, device="cpu")
    places = torch.linspace(1, 2, 6 * 9 * 3).view(6, 9, 3)
    kinds = torch.zeros(6, 9, dtype=torch.int64)
    for faulty in (lambda: float(places.sum()), lambda: places[places > 1], lambda: torch.tensor([1.0])):
        with pytest.raises(AssertionError), NothingWaits():
            faulty()
    with NothingWaits():
        energies, gradients = terms.terms(places, kinds[:, 0], kinds)
    assert (energies.shape, gradients.shape) == ((6,), (6, 9, 3))
    assert (energies.dtype, gradients.dtype) == (torch.float64, torch.float32)


class Recorded(CapturedTerms):
    """Stand in for CUDA graphs: replays from the same inputs into the same outputs, on the CPU."""

    def _capture(self, *given):
        self.shapes = [*getattr(self, "shapes", []), tuple(given[0].shape)]
        inputs = tuple(tensor.clone() for tensor in given)
        outputs = tuple(tensor.clone() for tensor in self._engine.terms(*inputs))

        class Graph:
            def replay(graph):
                for own, new in zip(outputs, self._engine.terms(*inputs), strict=True):
                    own.copy_(new)

        return _Captured(Graph(), inputs, outputs)


def test_replayed_buffers_are_used_before_they_are_overwritten():
    model = potential()
    engine = Recorded(LayerTerms(model, dtype=torch.float64, device="cpu"), keep=2)
    device = DeviceMtp(model=model, engine=engine, device="cpu", dtype="float64", chunk=30, steps=(8, 4))
    for seed, size in enumerate([2, 3, 3, 1, 2]):
        environment = find_neighbours([alloy(size=size, seed=seed)], model.cutoff_A)
        for got, wanted in zip(device.site_terms(environment), model.site_terms(environment), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-10)
    assert all(rows % 8 == 0 and width % 4 == 0 for rows, width, _ in engine.shapes)
    assert 3 <= len(engine.shapes) <= 5  # chunks of one system share a shape
    atoms = box()
    neighbours = listed(atoms, model.cutoff_A - 0.3)
    shorter = potential(cutoff_A=model.cutoff_A - 0.5)
    species = torch.tensor(find_neighbours([atoms], 3.0).indices_of(model.elements))
    engine = Recorded(LayerTerms(shorter, dtype=torch.float64, device="cpu"))
    device = DeviceMtp(model=shorter, engine=engine, device="cpu", dtype="float64", chunk=50, steps=(8, 4))
    _, forces, _ = device.forces(torch.tensor(atoms.positions), species, neighbours)
    wanted = SitePotential(name="x", model=shorter).evaluate(atoms).forces_eV_per_A
    np.testing.assert_allclose(forces.numpy(), wanted, rtol=0, atol=1e-10)
    assert len(engine.shapes) == 1


def test_forces_on_the_device_are_those_of_the_contract():
    model, atoms = potential(10, cutoff_A=4.0), box(seed=3)
    result = SitePotential(name="x", model=model).evaluate(atoms)
    species = torch.tensor(find_neighbours([atoms], 3.0).indices_of(model.elements))
    neighbours = listed(atoms, 4.3)
    device = on_device(model, "cpu", "float64", chunk=70)
    energies, forces, virial = device.forces(torch.tensor(atoms.positions), species, neighbours)
    np.testing.assert_allclose(energies.numpy(), result.site_energies_eV, rtol=0, atol=1e-10)
    np.testing.assert_allclose(forces.numpy(), result.forces_eV_per_A, rtol=0, atol=1e-10)
    stress = virial.numpy() / atoms.cell.volume
    np.testing.assert_allclose(0.5 * (stress + stress.T), result.stress_eV_per_A3, rtol=0, atol=1e-10)
    again = device.forces(torch.tensor(atoms.positions), species, neighbours)[1]
    assert torch.equal(forces, again)


@settings(max_examples=15, deadline=None)
@given(
    cells=st.tuples(*[st.integers(3, 5)] * 3),
    seed=st.integers(0, 10**6),
    reach_A=st.floats(1.5, 3.2),
    away_A=st.floats(-60, 60),
)
def test_neighbours_on_the_device_are_those_of_vesin(cells, seed, reach_A, away_A):
    atoms = box(cells, seed)
    atoms.positions += away_A
    neighbours, environment = listed(atoms, reach_A), find_neighbours([atoms], reach_A)
    counts = np.diff(environment.starts)
    assert neighbours.real.sum(1).tolist() == counts.tolist()
    real = neighbours.real.flatten()
    vectors = neighbours.vectors(torch.tensor(atoms.positions), slice(None), 9.0).view(-1, 3)
    assert (vectors[~real] == torch.tensor([9.0, 0, 0])).all()

    def ordered(first, second, vectors):
        rows = np.column_stack([first, second, np.round(vectors, 6)])
        return rows[np.lexsort(rows.T[::-1])]

    own = ordered(np.repeat(np.arange(len(atoms)), counts), neighbours.second.flatten()[real], vectors[real])
    theirs = ordered(environment.first, environment.second, environment.vectors)
    np.testing.assert_allclose(own, theirs, rtol=0, atol=2e-6)
    mirror = neighbours.mirror.flatten()
    places = torch.arange(len(mirror))
    assert torch.equal(mirror[mirror], places) and torch.equal(mirror[~real], places[~real])
    assert torch.equal(vectors[mirror[real]], -vectors[real])
    second = neighbours.second.flatten()
    assert torch.equal(second[mirror], places // neighbours.second.shape[1])


def test_a_list_is_good_until_an_atom_moved_by_half_the_skin():
    atoms = box()
    neighbours, positions = listed(atoms, 4.0), torch.tensor(atoms.positions)
    assert neighbours.still_good(positions, 3.6)
    positions[7, 1] += 0.19
    assert neighbours.still_good(positions, 3.6)
    positions[7, 1] += 0.02
    assert not neighbours.still_good(positions, 3.6)
    positions[7, 1] = torch.nan
    assert not neighbours.still_good(positions, 3.6)


def test_bad_input_is_refused():
    model, atoms = potential(), box()
    with pytest.raises(InputError, match=r"at least 3 x 4\.500 A"):
        listed(atoms, 4.5)
    with pytest.raises(InputError, match="not finite"):
        device_neighbours(torch.full((2, 3), torch.nan), torch.full((3,), 20.0), 4.0)
    with pytest.raises(UnknownNameError, match="float16"):
        on_device(model, "cpu", "float16")
    with pytest.raises(UnknownNameError, match="tpu"):
        on_device(model, "tpu")
    with pytest.raises(InputError, match="CUDA devices here"):
        on_device(model, "cuda:99")
    with pytest.raises(InputError, match="CUDA graphs on 'cpu'"):
        on_device(model, "cpu", capture=True)
