"""The Triton kernel equals the plain formulas in Triton's interpreter, and compiles for a GPU that is not there."""

import importlib.util
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from hea_sim.errors import MissingDependencyError
from hea_sim.potentials.mtp import new_mtp, plain_site_terms
from hea_sim.potentials.mtp_layers import layers_of
from hea_sim.potentials.mtp_triton import on_triton

from .mtp_systems import potential
from .mtp_triton_cases import CASES, NAMES, case

INSTALLED = importlib.util.find_spec("triton") is not None
needs_triton = pytest.mark.skipif(not INSTALLED, reason="triton is not installed (pip install triton, on Linux)")
#: Before 3.7 the interpreter takes numbers from arrays in a way that NumPy 2.4 refuses; the compiler is not concerned.
needs_interpreter = pytest.mark.skipif(
    not INSTALLED or version("triton").split(".")[:2] in (["3", str(k)] for k in range(7)),
    reason="needs triton 3.7 or later (pip install 'triton>=3.7', on Linux)",
)


def run_alone(*words: str, folder: Path, interpret: bool) -> str:
    """Run the cases in a process that has Triton as an interpreter, or has not; nothing is taken from a cache."""
    environment = os.environ | {"TRITON_INTERPRET": "1" if interpret else "0", "TRITON_CACHE_DIR": str(folder)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.sim.mtp_triton_cases", *words],
        cwd=Path(__file__).parents[2], env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("triton")
    run_alone("interpret", str(folder / "found.npz"), folder=folder, interpret=True)
    with np.load(folder / "found.npz") as found:
        return dict(found)


@needs_interpreter
@pytest.mark.parametrize("number", range(len(CASES)), ids=NAMES)
def test_the_kernel_equals_the_formulas(number, interpreted):
    level, n, polynomials, dtype = CASES[number]
    model, environment = case(level, n, polynomials)
    energies, gradients = plain_site_terms(model, environment)
    found = interpreted[f"energies {number}"], interpreted[f"gradients {number}"]
    assert interpreted["interpreted"] and found[0].dtype == np.float64 and found[1].dtype == dtype
    # Single precision: a hundred roundings of the largest gradient, and of the largest energy but for the constant.
    own = energies - model.species_eV[environment.indices_of(model.elements)]
    roundings = 100 * np.finfo(np.float32).eps
    for got, wanted, size in ((found[0], energies, own), (found[1], gradients, gradients)):
        bound = 1e-10 if dtype == "float64" else roundings * np.abs(size).max()
        np.testing.assert_allclose(got, wanted, rtol=0, atol=bound)
    far = np.linalg.norm(environment.vectors, axis=1) > model.cutoff_A
    assert far.any() and np.abs(gradients).max() > 1e-4 and not found[1][far].any()
    assert found[0][-1] == model.species_eV[0]  # the atom alone


@needs_triton
def test_the_kernel_compiles_for_a_gpu_without_one(tmp_path):
    assert int(run_alone("compile", folder=tmp_path, interpret=False)) > 1000


@pytest.mark.skipif(INSTALLED, reason="triton is installed")
def test_without_triton_the_error_says_what_to_install():
    with pytest.raises(MissingDependencyError, match="pip install triton"):
        on_triton(potential())


@pytest.mark.parametrize("level", [2, 4, 8, 16])
@pytest.mark.parametrize("size", [4, 32])
def test_a_layer_reads_what_is_known_and_writes_every_row_once(level, size):
    model = potential(level)
    n_basic, n_moments = len(model.basis.basic), model.basis.n_moments
    known = np.zeros(2 * n_moments, bool)
    known[:n_basic] = True
    for layer in layers_of(model, size):
        assert 0 < len(layer.target) <= size
        read = layer.factor != 0
        assert known[layer.left[read]].all() and known[layer.right[read]].all() and not known[layer.target].any()
        known[layer.target] = True
    assert known.all()


def test_layers_waste_little():
    """Terms filled up with zeros are no more than the true ones: a GPU computes them all."""
    layers = layers_of(new_mtp(["Nb"], 16, 5.0, seed=0), 32)
    true = sum(np.count_nonzero(layer.factor) for layer in layers)
    assert sum(layer.factor.size for layer in layers) < 2 * true
