"""What the Triton kernel is tested on; run by itself, since the interpreter must be chosen before Triton is imported.

python -m tests.sim.mtp_triton_cases interpret FILE | compile
"""

from __future__ import annotations

import sys

import numpy as np
from ase import Atoms

from hea_sim.potentials.environment import Environment, find_neighbours
from hea_sim.potentials.mtp import MtpModel

from .mtp_systems import alloy, cluster, potential

SPECIES = ("Nb", "Mo", "Ta", "W")
#: level, species, polynomials, precision
CASES = [
    (2, 1, 5, "float64"),
    (4, 2, 1, "float64"),
    (6, 1, 4, "float64"),
    (8, 4, 2, "float64"),
    (10, 2, 8, "float64"),
    (12, 3, 6, "float64"),
    (12, 4, 6, "float32"),
    (16, 2, 3, "float64"),
    (16, 2, 3, "float32"),
]
NAMES = [f"level {level}, {n} species, {polynomials} polynomials, {kind}" for level, n, polynomials, kind in CASES]
#: The first shell of the cell lies within the cutoff, the second beyond it, but is listed.
CUTOFF_A, LISTED_A = 3.05, 3.6


def case(level: int, n: int, polynomials: int) -> tuple[MtpModel, Environment]:
    """Make a potential, and a batch: atoms in the open, a periodic cell, an atom alone."""
    model = potential(level, cutoff_A=CUTOFF_A, elements=SPECIES[:n], radial_functions=polynomials)
    systems = [cluster(6, level, SPECIES[:n]), alloy(SPECIES[:n], size=1, seed=level), Atoms(SPECIES[0])]
    return model, find_neighbours(systems, LISTED_A)


def interpret(path: str) -> None:
    """Evaluate all cases in Triton's interpreter."""
    from hea_sim.potentials.mtp_triton import interpreted, on_triton

    found = {"interpreted": np.array(interpreted())}
    for k, (level, n, polynomials, dtype) in enumerate(CASES):
        model, environment = case(level, n, polynomials)
        found[f"energies {k}"], found[f"gradients {k}"] = on_triton(model, "cpu", dtype).site_terms(environment)
    np.savez(path, **found)


def compile_for_a_gpu(level: int = 8, n: int = 2) -> None:
    """Compile the kernel for a GPU of compute capability 9.0, without one; print the size of its machine code."""
    import torch
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from hea_sim.potentials.mtp_triton import WARPS, mtp_terms, sizes_of

    sizes = sizes_of(potential(level, elements=SPECIES[:n]), torch.float32)._asdict()
    signature = dict.fromkeys(mtp_terms.arg_names, "*fp32")
    signature |= dict.fromkeys(["energies", "constants", "linear"], "*fp64")
    signature |= dict.fromkeys(["mine", "theirs", "exponents", "place", "scalars"], "*i32")
    signature |= dict.fromkeys(["targets", "widths", "begins", "lefts", "rights"], "*i32")
    signature |= {name: "i32" for name in mtp_terms.arg_names if name.startswith("n_")}
    signature |= dict.fromkeys(sizes, "constexpr")
    source = ASTSource(fn=mtp_terms, signature=signature, constexprs=sizes)
    compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": WARPS})
    print(len(compiled.asm["cubin"]))


if __name__ == "__main__":
    interpret(sys.argv[2]) if sys.argv[1] == "interpret" else compile_for_a_gpu()
