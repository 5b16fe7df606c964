"""What the Triton kernel of lattice exchanges is tested on; run by itself, since the interpreter is chosen on import.

python -m tests.sim.class_triton_cases interpret FILE | compile
"""

from __future__ import annotations

import sys

import numpy as np

#: lattice, size, species, shells; the walk makes one sweep at these temperatures
CASES = [("A_h", (8, 6, 1), 2, 1), ("A1", (8, 2, 2), 3, 2), ("A2", (8, 2, 2), 4, 5)]
TEMPERATURES_K = [3000.0, 1500.0]


def walk_of(number: int, engine: str):  # type: ignore[no-untyped-def]
    """Start the replicas of a case."""
    from hea_sim.sampling.class_replicas import ReplicasWalk

    from ..laws.test_monte_carlo import random_model

    lattice, size, n, shells = CASES[number]
    model = random_model(3, shells=shells, n=n, lattice=lattice)
    sites = len(model.bound(size).nearest)
    start = np.random.default_rng(0).permutation(np.arange(sites) % n)
    return ReplicasWalk(model, size, start, TEMPERATURES_K, np.random.default_rng(1), engine=engine)


def interpret(path: str) -> None:
    """Make a sweep of all cases in Triton's interpreter."""
    from hea_sim.sampling.class_triton import interpreted

    found = {"interpreted": np.array(interpreted())}
    for k in range(len(CASES)):
        walk = walk_of(k, "triton")
        walk.advance(1)
        found[f"occupations {k}"] = walk.occupations
        found[f"counters {k}"] = np.array([walk.trials, walk.accepted])
    np.savez(path, **found)


def compile_for_a_gpu() -> None:
    """Compile the kernel for a GPU of compute capability 9.0, without one; print the size of its machine code."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from hea_sim.sampling.class_triton import BLOCK, exchange_pairs

    constants = {"N": 4, "BITS": 5, "SHELLS": 5, "BLOCK": BLOCK}
    signature = dict.fromkeys(exchange_pairs.arg_names, "i32")
    signature |= {"all_species": "*u8", "table": "*fp32", "betas": "*fp64", "keys": "*u64", "found": "*i64"}
    signature |= dict.fromkeys(["planes", "partners", "bonds_c", "bonds_d", "starts"], "*i32")
    signature |= {"n_sites": "i64", "place": "i64"} | dict.fromkeys(constants, "constexpr")
    source = ASTSource(fn=exchange_pairs, signature=signature, constexprs=constants)
    print(len(triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm["cubin"]))


if __name__ == "__main__":
    interpret(sys.argv[2]) if sys.argv[1] == "interpret" else compile_for_a_gpu()
