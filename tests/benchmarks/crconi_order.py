"""Sample the short-range order of CrCoNi with its published moment tensor potential.

    python tests/benchmarks/crconi_order.py [--data FOLDER] [--protocol vibrating|rigid ...] [--temperature K]
        [--cells N ...] [--cycles N ...] [--seeds N] [--quick] [--json FILE]

Cells and cycles are one number, or one for each protocol.

Equiatomic CrCoNi, 4 N^3 atoms on fcc sites at random at first. Protocols:

vibrating: hybrid molecular dynamics and exchanges (`Hybrid`): a cycle is 20 steps of 2 fs at zero pressure (lengths of
    the cell float), then N/2 exchanges of any two atoms with the vibrating places as they are. It samples species and
    places together at the temperature: nothing is left out but diffusion, which exchanges do.
rigid: exchanges of atoms on the perfect lattice, at the lattice parameter that `--lattice-parameter` names: no
    relaxation, no vibration.

The first half of the cycles is left out. First-shell Warren-Cowley parameters with blocked errors over cycles, the
mean over seeds beside; the reference (canonical Monte Carlo of the authors' with the same potential, 4000 atoms, 800 K)
and the standard deviation it comes with stand in REFERENCE.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from ase.build import bulk

from hea_sim.documents import sha256_of, versions, write_json
from hea_sim.observables.warren_cowley import blocked_mean, warren_cowley
from hea_sim.potentials.contract import SitePotential
from hea_sim.potentials.loading import load_potential
from hea_sim.sampling.atom_exchange import AtomExchange
from hea_sim.sampling.hybrid import Hybrid

ELEMENTS = ("Cr", "Co", "Ni")
FILE = "potentials/crconi/MTP_TS-f_Cao_20230208.mtp"
#: First-shell Warren-Cowley parameters at 800 K, published with the potential.
REFERENCE = {"Cr-Cr": 0.223, "Cr-Co": -0.129, "Cr-Ni": -0.094, "Co-Co": 0.008, "Co-Ni": 0.122, "Ni-Ni": -0.027}
REFERENCE_K, WANTED = 800.0, 0.02
PROTOCOLS = ("vibrating", "rigid")
STEPS_PER_CYCLE = 20


def random_cell(cells: int, a_A: float, rng: np.random.Generator) -> Any:
    """Put equal numbers of the elements (but for the remainder) on fcc sites."""
    atoms = bulk("Ni", "fcc", a=a_A, cubic=True).repeat(cells)
    symbols = np.array([ELEMENTS[k % 3] for k in range(len(atoms))])
    atoms.symbols = rng.permutation(symbols)
    return atoms


def start(protocol: str, atoms: Any, potential: SitePotential, temperature_K: float, rng: np.random.Generator) -> Any:
    """Make the walk of a protocol."""
    if protocol == "rigid":
        return AtomExchange(atoms, potential, temperature_K, rng)
    return Hybrid(
        atoms, potential, temperature_K, rng, ensemble="npt", timestep_fs=2.0, steps_per_cycle=STEPS_PER_CYCLE,
        trials_per_cycle=len(atoms) // 2, barostat_fs=300.0,
    )  # fmt: skip


def sample(
    protocol: str, cells: int, cycles: int, potential: SitePotential, options: argparse.Namespace, seed: int
) -> dict[str, Any]:
    """Run one protocol with one seed."""
    rng = np.random.default_rng(seed)
    atoms = random_cell(cells, options.lattice_parameter, rng)
    walk = start(protocol, atoms, potential, options.temperature, rng)
    order, energies, volumes = [], [], []
    begun, cpu = time.perf_counter(), time.process_time()
    for cycle in range(cycles):
        walk.advance(1)
        seen, now = walk.observe(), walk.atoms()
        occupation = np.array([ELEMENTS.index(symbol) for symbol in now.get_chemical_symbols()])
        order.append(warren_cowley(occupation, "fcc", size=(cells,) * 3, species=ELEMENTS, shells=2))
        energies.append(seen["energy_eV_per_atom"])
        volumes.append(now.get_volume() / len(now))
        if cycle % max(1, cycles // 20) == 0:
            first = ", ".join(f"{pair} {value:+.3f}" for pair, value in named(order[-1][0]).items())
            print(f"  {protocol} seed {seed} cycle {cycle}: {first}; {energies[-1]:.5f} eV/atom"
                  f" ({time.perf_counter() - begun:.0f} s)", flush=True)  # fmt: skip
    half = cycles // 2
    mean, error = blocked_mean(np.array(order[half:]))
    quarter = half + (cycles - half) // 2
    drift = np.mean(order[quarter:], axis=0) - np.mean(order[half:quarter], axis=0)
    return {
        "protocol": protocol,
        "seed": seed,
        "atoms": len(atoms),
        "temperature_K": options.temperature,
        "cycles": cycles,
        "first_shell": named(mean[0]),
        "first_shell_std": named(error[0]),
        "first_shell_drift": named(drift[0]),
        "second_shell": named(mean[1]),
        "energy_eV_per_atom": float(np.mean(energies[half:])),
        "lattice_A": float((4 * np.mean(volumes[half:])) ** (1 / 3)),
        "acceptance": seen["accepted"] / seen["trials"],
        "trials": seen["trials"],
        "process_s": time.process_time() - cpu,
    }


def named(order: np.ndarray) -> dict[str, float]:
    """Name the six pairs of a matrix of Warren-Cowley parameters."""
    return {
        f"{ELEMENTS[i]}-{ELEMENTS[j]}": float(order[i, j]) for i, j in [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
    }


def judge(protocol: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Compare the mean of the seeds with the reference and print it."""
    found = {pair: np.array([run["first_shell"][pair] for run in runs]) for pair in REFERENCE}
    print(f"{protocol}, {runs[0]['atoms']} atoms, {runs[0]['temperature_K']:g} K, {len(runs)} seeds:")
    for pair, values in found.items():
        error = float(np.mean([run["first_shell_std"][pair] for run in runs])) / np.sqrt(len(runs))
        line = f"  {pair}: {values.mean():+.3f} +- {error:.3f}"
        if runs[0]["temperature_K"] == REFERENCE_K:
            off = values.mean() - REFERENCE[pair]
            verdict = "reached" if abs(off) <= WANTED else "MISSED"
            line += f"  reference {REFERENCE[pair]:+.3f}, off by {off:+.3f}: {verdict}"
        print(line, flush=True)
    return {pair: float(values.mean()) for pair, values in found.items()}


def main() -> None:
    """Run the protocols and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("HEA_DATA"), help="folder of the real data (HEA_DATA)")
    parser.add_argument("--protocol", nargs="+", choices=PROTOCOLS, default=["vibrating"])
    parser.add_argument("--temperature", type=float, default=REFERENCE_K)
    parser.add_argument("--cells", type=int, nargs="+", default=[6], help="cells a side: 6 are 864 atoms, 10 are 4000")
    parser.add_argument("--cycles", type=int, nargs="+", default=[300])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--lattice-parameter", type=float, default=3.55, metavar="A")
    parser.add_argument("--quick", action="store_true", help="108 atoms, few cycles: to see that it runs")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if not options.data:
        raise SystemExit("give --data FOLDER or set HEA_DATA")
    if options.quick:
        options.cells, options.cycles, options.seeds = [3], [8], 1
    number = len(options.protocol)
    if not {len(options.cells), len(options.cycles)} <= {1, number}:
        raise SystemExit(f"{len(options.cells)} --cells, {len(options.cycles)} --cycles; wanted one, or {number}")
    path = Path(options.data) / FILE
    potential: Any = load_potential(path, species=ELEMENTS)
    runs, means = [], {}
    for protocol, cells, cycles in zip(
        options.protocol, options.cells * (number // len(options.cells)),
        options.cycles * (number // len(options.cycles)), strict=True,
    ):  # fmt: skip
        some = [sample(protocol, cells, cycles, potential, options, seed) for seed in range(options.seeds)]
        means[protocol] = judge(protocol, some)
        runs += some
        if options.json:  # after each protocol, since one may take an hour
            write_json(options.json, {
                "versions": versions(), "models": {path.name: sha256_of(path)}, "quick": options.quick,
                "lattice_parameter_A": options.lattice_parameter, "reference": REFERENCE, "wanted_within": WANTED,
                "means": means, "runs": runs,
            })  # fmt: skip


if __name__ == "__main__":
    main()
