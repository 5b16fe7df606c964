import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hea_sim.errors import InputError
from hea_sim.observables import blocked_mean, sublattice_occupancy, warren_cowley


def b2_atoms(size=(3, 3, 3)):
    from ase.build import bulk

    atoms = bulk("Mo", "bcc", a=3.2, cubic=True).repeat(size)
    atoms.symbols[1::2] = "Ta"
    return atoms


def test_b2_is_known():
    order = warren_cowley(b2_atoms(), "bcc", shells=3)
    assert np.allclose(order[0], [[1, -1], [-1, 1]])
    assert np.allclose(order[1], [[-1, 1], [1, -1]])
    assert np.allclose(sublattice_occupancy(b2_atoms()), np.eye(2))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=24, max_size=24), st.sampled_from([("bcc", (3, 2, 2)), ("fcc", (3, 2, 1))]))
def test_sum_rule(sites, where):
    lattice, size = where
    occupation = np.array(sites)
    order = warren_cowley(occupation, lattice, size=size, species=("A", "B", "C", "D"), shells=4)
    c = np.bincount(occupation, minlength=4) / 24
    present = c > 0
    sums = np.einsum("j,sij->si", c[present], order[:, present][:, :, present])
    assert np.allclose(sums, 0, atol=1e-12)
    assert np.isnan(order[:, ~present]).all()
    assert np.allclose(order, order.transpose(0, 2, 1), equal_nan=True)


def test_random_alloy_has_none():
    occupation = np.random.default_rng(0).permutation(np.repeat([0, 1, 2, 3], 864))
    order = warren_cowley(occupation, "bcc", size=(12, 12, 12), shells=2)
    assert np.abs(order).max() < 0.08


def test_order_of_species_is_that_asked_for():
    a = warren_cowley(b2_atoms(), "bcc", species=("Ta", "Mo", "W"), shells=1)
    assert a.shape == (1, 3, 3)
    assert np.isnan(a[0, 2]).all()


def test_blocked_error_counts_correlated_samples_once():
    rng = np.random.default_rng(1)
    chain = np.empty(4096)
    chain[0] = 0
    for k in range(1, len(chain)):
        chain[k] = 0.9 * chain[k - 1] + rng.normal()
    _, error = blocked_mean(chain)
    exact = np.sqrt(1 / (1 - 0.81) * (1 + 0.9) / (1 - 0.9) / len(chain))
    naive = chain.std() / np.sqrt(len(chain))
    assert 0.7 * exact < error < 2 * exact
    assert error > 2.5 * naive


def test_one_sample_has_no_error():
    mean, error = blocked_mean(np.ones((1, 2)))
    assert mean.tolist() == [1, 1]
    assert np.isnan(error).all()


def test_bad_input():
    with pytest.raises(InputError, match="size in conventional cells"):
        warren_cowley(np.zeros(16, int), "bcc")
    with pytest.raises(InputError, match="does not name"):
        warren_cowley(b2_atoms(), "bcc", species=("Mo",))
    with pytest.raises(InputError, match="no multiples of a cubic A1 cell"):
        warren_cowley(b2_atoms(), "fcc")
    shuffled = b2_atoms()[np.random.default_rng(0).permutation(54)]
    with pytest.raises(InputError, match="site order"):
        warren_cowley(shuffled, "bcc")
    with pytest.raises(InputError, match="at least one"):
        blocked_mean(np.zeros((0, 2)))


@pytest.mark.oracle
def test_icet_gives_the_same_binary_order():
    icet = pytest.importorskip("icet", reason="peer package from the extra `oracle`")
    from ase.build import bulk

    atoms = bulk("Mo", "bcc", a=3.2, cubic=True).repeat((4, 4, 4))
    atoms.symbols[np.random.default_rng(2).permutation(128)[:50]] = "Ta"
    space = icet.ClusterSpace(bulk("Mo", "bcc", a=3.2), cutoffs=[4.7], chemical_symbols=["Mo", "Ta"])
    # icet's pair correlation of spins +-1 is 1 - 4 p, with p the fraction of bonds that run from Mo to Ta.
    p = (1 - space.get_cluster_vector(atoms)[2:]) / 4
    theirs = 1 - p / (78 / 128 * 50 / 128)
    assert len(theirs) == 3
    assert np.allclose(theirs, warren_cowley(atoms, "bcc", species=("Mo", "Ta"), shells=3)[:, 0, 1], atol=1e-10)
