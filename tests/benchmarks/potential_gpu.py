"""Time an MTP on a GPU, in atom-steps per second: eager torch, torch in CUDA graphs, the Triton kernel.

python tests/benchmarks/potential_gpu.py [--quick] [--json FILE] [--level 12 | --potential NAME] [--device cuda]

Random NbMoTaW on bcc sites that swing about them, as in potential_speed.py; everything lies on the device. A step is
new positions, distances, energies, forces and virial in single precision; the list of neighbours (cell list on the
device, skin 0.5 A) is timed apart and charged as often as it had to be found anew over 200 steps of a smaller cell. Of
a shipped potential the MTP alone is timed, without its core. Times are by the clock, the least of several. Without a
CUDA device it says so and stops; `--device cpu` times eager torch there.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from potential_speed import ELEMENTS, FREQUENCY_THZ, SKIN_A, STEP_FS, SWING_A, Swing, lists_per_step

from hea_sim.documents import versions, write_json
from hea_sim.errors import MissingDependencyError
from hea_sim.potentials.cell_lists import DeviceNeighbours, device_neighbours
from hea_sim.potentials.contract import SitePotential, SumModel
from hea_sim.potentials.environment import find_neighbours
from hea_sim.potentials.mtp import MtpModel, new_mtp
from hea_sim.potentials.mtp_device import DeviceMtp, on_device

#: Atom-steps per second that this project set itself as targets for one H200.
TARGETS = {"torch, CUDA graphs": 1e7, "Triton": 3e7}


class SwingThere:
    """Let atoms swing about the sites of a bcc alloy, on a device."""

    def __init__(self, repeats: int, elements: tuple[str, ...], device: str) -> None:
        grid = torch.cartesian_prod(*[torch.arange(repeats, dtype=torch.float64, device=device)] * 3)
        self.sites = 3.25 * torch.cat([grid, grid + 0.5])
        random = torch.Generator(device).manual_seed(0)
        self.phase = 2 * np.pi * torch.rand(self.sites.shape, generator=random, dtype=torch.float64, device=device)
        self.species = torch.randint(len(elements), (len(self.sites),), generator=random, device=device)
        self.lengths_A = torch.full((3,), 3.25 * repeats, dtype=torch.float64, device=device)

    def at(self, step: int) -> torch.Tensor:
        """Give the positions at a step."""
        turn = 2 * np.pi * FREQUENCY_THZ * STEP_FS * 1e-3 * step
        return self.sites + np.sqrt(2) * SWING_A * torch.sin(self.phase + turn)


def chosen_model(name: str | None, level: int) -> MtpModel:
    """Take the MTP of a shipped potential, or make a random one."""
    if name is None:
        return new_mtp(ELEMENTS, level, 5.0, seed=0)
    import hea_sim as hs

    model = hs.load_potential(name).model
    parts = model.parts if isinstance(model, SumModel) else (model,)
    found = [part for part in parts if isinstance(part, MtpModel)]
    if len(found) != 1:
        raise SystemExit(f"{name}: wanted a potential with one MTP")
    return found[0]


def ways_of(model: MtpModel, device: str) -> dict[str, DeviceMtp]:
    """Put the potential on the device in all ways there are."""
    ways = {"torch, eager": on_device(model, device, capture=False)}
    if not device.startswith("cuda"):
        return ways
    ways["torch, CUDA graphs"] = on_device(model, device)
    try:
        from hea_sim.potentials.mtp_triton import on_triton

        ways["Triton"] = on_triton(model, device)
    except MissingDependencyError as error:
        print(f"  Triton: left out, {error}")
    return ways


def least_time(call: Callable[[], object], repeats: int, device: str) -> float:
    """Give the least time in s that a call takes until the device is done; compiled and recorded before."""

    def waited() -> float:
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
        return time.perf_counter()

    call()
    times = []
    for _ in range(repeats):
        start = waited()
        call()
        times.append(waited() - start)
    return min(times)


def largest_error(model: MtpModel, way: DeviceMtp) -> float:
    """Give the largest error of a force in eV/A against the kernel of the CPU in double precision, 1,024 atoms."""
    atoms = Swing(8, model.elements).at(0)
    environment = find_neighbours([atoms], model.cutoff_A)
    exact, found = (
        SitePotential(name="MTP", model=m).evaluate_in(environment)[0].forces_eV_per_A
        for m in (model.with_precision("float64"), way)
    )
    return float(np.abs(exact - found).max())


def time_way(way: DeviceMtp, swing: SwingThere, neighbours: DeviceNeighbours, repeat: int) -> dict[str, float]:
    """Give seconds of a step with a known list, and the most memory of the device in GB meanwhile."""
    steps = iter(range(10**9))
    on_cuda = way.device.startswith("cuda")
    if on_cuda:
        torch.cuda.reset_peak_memory_stats(way.device)
    step_s = least_time(lambda: way.forces(swing.at(next(steps)), swing.species, neighbours), repeat, way.device)
    return {"step_s": step_s, "memory_GB": torch.cuda.max_memory_allocated(way.device) / 1e9 if on_cuda else 0.0}


def rows_of(model: MtpModel, device: str, sizes: list[int], repeat: int) -> dict[str, list[dict[str, Any]]]:
    """Time all ways at all sizes."""
    ways = ways_of(model, device)
    per_step = lists_per_step(8, model.cutoff_A)
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in ways}
    reach_A = model.cutoff_A + SKIN_A
    for repeats in sizes:
        swing = SwingThere(repeats, model.elements, device)
        n, origin = len(swing.sites), swing.at(0)
        list_s = least_time(lambda: device_neighbours(origin, swing.lengths_A, reach_A), max(2, repeat // 3), device)  # noqa: B023
        neighbours = device_neighbours(origin, swing.lengths_A, reach_A)
        for name, way in ways.items():
            row: dict[str, Any] = {"atoms": n, "list_s": list_s, "lists_per_step": per_step}
            row |= time_way(way, swing, neighbours, repeat)
            row["atom_steps_per_s"] = n / (row["step_s"] + per_step * list_s)
            row["atom_steps_per_s_list_known"] = n / row["step_s"]
            found[name].append(row)
            print(
                f"  {name:20s} {n:8d} atoms  {row['atom_steps_per_s']:.3g} atom-steps/s"
                f"  (step {1e3 * row['step_s']:.2f} ms, list {1e3 * list_s:.2f} ms x {per_step:.3f},"
                f" {row['memory_GB']:.1f} GB)",
                flush=True,
            )
    for name, way in ways.items():
        error = largest_error(model, way)
        print(f"  {name:20s} largest error of a force {error:.1e} eV/A", flush=True)
        for row in found[name]:
            row["largest_force_error_eV_per_A"] = error
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small numbers, to see that it runs")
    parser.add_argument("--json")
    parser.add_argument("--level", type=int, default=12, help="level of a random MTP with a cutoff of 5 A")
    parser.add_argument("--potential", help="a shipped MTP instead")
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("no CUDA device: nothing was timed and nothing is written (--device cpu times eager torch on the CPU)")
        sys.exit(0)
    on_cuda = options.device.startswith("cuda")
    name = torch.cuda.get_device_name(options.device) if on_cuda else "CPU"
    model = chosen_model(options.potential, options.level)
    potential = options.potential or f"random MTP of level {options.level}"
    print(f"{potential} on {name}, {', '.join(model.elements)}", flush=True)
    sizes, repeat = ([6, 8], 2) if options.quick else ([17, 37, 79], 10)
    ways = rows_of(model, options.device, sizes, repeat)
    met = {}
    for way, target in TARGETS.items():
        best = max((row["atom_steps_per_s"] for row in ways.get(way, [])), default=None)
        met[way] = {"target": target, "best": best, "met": None if best is None else best >= target}
        verdict = "not timed" if best is None else f"best {best:.3g}, {'met' if best >= target else 'missed'}"
        print(f"  {way}: target {target:.0e} atom-steps/s on one H200, {verdict}")
    if options.json:
        document = {"device": name, "potential": potential, "versions": versions(), "ways": ways, "targets": met}
        write_json(options.json, document)


if __name__ == "__main__":
    main()
