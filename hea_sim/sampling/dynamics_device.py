"""Forces on a device, by torch: what `Dynamics(device=...)` uses for moment tensor potentials.

Positions go to the device at every step and forces come back; lists of neighbours stay there, for all systems of a
batch in one, so that replicas share the launches of kernels. A single periodic box with right angles and three cells or
more a side finds its neighbours on the device too (`cell_lists`); any other system by vesin. Numbers are those of the
CPU within the rounding of the precision; a batch gives what its systems give alone within it, not to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from hea_sim.errors import InputError
from hea_sim.potentials.cell_lists import DeviceNeighbours, device_neighbours
from hea_sim.potentials.contract import SitePotential
from hea_sim.potentials.environment import Environment, find_neighbours
from hea_sim.potentials.mtp import MtpModel
from hea_sim.potentials.mtp_device import DeviceMtp, checked_place, on_device
from hea_sim.sampling.dynamics_forces import ForceField, Forces, KeptList


@dataclass(frozen=True, kw_only=True, eq=False)
class PaddedNeighbours:
    """Hold the neighbours of all atoms of a batch as `DeviceNeighbours` does, in cells of any shape.

    `shift` (n, k, 3) in cells, `cells_A` (systems, 3, 3), `system` (n,).
    """

    second: torch.Tensor
    shift: torch.Tensor
    mirror: torch.Tensor
    real: torch.Tensor
    cells_A: torch.Tensor
    system: torch.Tensor

    def vectors(self, positions_A: torch.Tensor, atoms: slice, padding_A: float) -> torch.Tensor:
        """Give the vectors (atoms, k, 3) from some atoms to their neighbours; padding lies at a given distance."""
        image = self.shift[atoms] @ self.cells_A[self.system[atoms]]
        found = positions_A[self.second[atoms]] - positions_A[atoms, None] + image
        return torch.where(self.real[atoms][..., None], found, found.new_tensor([padding_A, 0, 0]))


class DeviceField(ForceField):
    """Give the forces of systems under a potential whose model is a `DeviceMtp`; a `ForceField`."""

    def __init__(
        self, potential: SitePotential, sizes: Sequence[int], periodic: np.ndarray, *, skin_A: float = 0.5
    ) -> None:
        super().__init__(potential, sizes, periodic, skin_A=skin_A)
        self._model: Any = potential.model
        offsets = [float(potential.element_energies_eV.get(element, 0.0)) for element in potential.elements]
        self._constants_eV = np.array(offsets)
        self._near: PaddedNeighbours | DeviceNeighbours | None = None

    def __call__(self, positions: np.ndarray, cells: np.ndarray, numbers: np.ndarray) -> Forces:
        """Compute the forces of all systems at positions (n, 3) in cells (systems, 3, 3)."""
        for k, part in enumerate(self.parts):
            self._fresh(k, positions[part], cells[k], numbers[part])
        if self._near is None:
            self._near = self._padded()
        kinds = self._kinds(numbers)
        sites, forces, virials = self._model.forces(
            self._there(positions), self._there(kinds), self._now(self._near, cells), self.sizes
        )
        each = sites.cpu().numpy() + self._constants_eV[kinds]
        if not np.isfinite(each).all():
            raise InputError(f"{self.potential.name}: an energy is not finite; wanted numbers (did a run explode?)")
        stretched = virials.cpu().numpy()
        stretched = -0.5 * (stretched + stretched.transpose(0, 2, 1))
        stretched[~self.periodic.all(1)] = np.nan
        return Forces(
            np.array([each[part].sum() for part in self.parts]),
            forces.cpu().numpy().astype(np.float64),
            stretched,
        )

    def environment(self, positions: np.ndarray, cells: np.ndarray, numbers: np.ndarray) -> Environment:
        """Give the neighbours of all systems within the cutoff, found anew on the CPU."""
        return find_neighbours(self._systems(positions, cells, numbers), self.potential.cutoff_A)

    def _made(self, k: int, positions: np.ndarray, cell: np.ndarray, numbers: np.ndarray) -> KeptList:
        self._near = None
        if self._in_one_box(cell):
            none = np.zeros(0, np.int64)
            return KeptList(none, none, np.zeros((0, 3), np.int64), none, positions.copy(), cell.copy())
        return super()._made(k, positions, cell, numbers)

    def _in_one_box(self, cell: np.ndarray) -> bool:
        """Tell whether the device can find the neighbours itself."""
        alone = len(self.sizes) == 1 and bool(self.periodic.all())
        right = np.array_equal(cell, np.diag(np.diag(cell)))
        return alone and right and bool((np.diag(cell) >= 3 * (self.potential.cutoff_A + self.skin_A)).all())

    def _padded(self) -> PaddedNeighbours | DeviceNeighbours:
        lists = [one for one in self._lists if one is not None]
        if self._in_one_box(lists[0].cell):
            box = self._there(np.diag(lists[0].cell).copy())
            return device_neighbours(self._there(lists[0].positions), box, self.potential.cutoff_A + self.skin_A)
        offsets = [part.start for part in self.parts]
        first, second = (
            np.concatenate([getattr(one, name) + offset for one, offset in zip(lists, offsets, strict=True)])
            for name in ("first", "second")
        )
        shift = np.concatenate([one.shifts for one in lists])
        n = sum(self.sizes)
        counts = np.bincount(first, minlength=n)
        width = -(-max(int(counts.max(initial=0)), 1) // 4) * 4
        place = first * width + np.arange(len(first)) - (np.cumsum(counts) - counts)[first]
        flat = np.arange(n * width)
        neighbours, mirror, real = flat // width, flat.copy(), np.zeros(n * width, bool)
        shifts = np.zeros((n * width, 3))
        neighbours[place], real[place], shifts[place] = second, True, shift
        # Sorted by what their mirror images are sorted by, the pairs stand in the order of their mirror images.
        mirror[place[np.lexsort((*shift.T, second, first))]] = place[np.lexsort((*-shift.T, first, second))]
        return PaddedNeighbours(
            second=self._there(neighbours.reshape(n, width)),
            shift=self._there(shifts.reshape(n, width, 3)),
            mirror=self._there(mirror.reshape(n, width)),
            real=self._there(real.reshape(n, width)),
            cells_A=self._there(np.array([one.cell for one in lists])),
            system=self._there(np.repeat(np.arange(len(self.sizes)), self.sizes)),
        )

    def _now(self, near: PaddedNeighbours | DeviceNeighbours, cells: np.ndarray) -> PaddedNeighbours | DeviceNeighbours:
        """Give the neighbours in the present cells."""
        if isinstance(near, PaddedNeighbours):
            return replace(near, cells_A=self._there(cells))
        return replace(near, lengths_A=self._there(np.diag(cells[0]).copy()))

    def _kinds(self, numbers: np.ndarray) -> np.ndarray:
        none = np.zeros(0)
        return Environment(
            numbers=numbers, starts=none, second=none, vectors=none, system=none, volumes_A3=none
        ).indices_of(self.potential.elements)  # fmt: skip

    def _there(self, values: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(values, device=self._model.device)


def device_field(
    potential: Any, sizes: Sequence[int], periodic: np.ndarray, *, skin_A: float, device: str | None, precision: str
) -> DeviceField:
    """Put a potential on a device and make its field: by Triton where there is CUDA and Triton, else by torch.

    A potential that is on a device already stays there (`device` None). Raises InputError where the potential is no
    moment tensor potential, or there is no such device.
    """
    model = getattr(potential, "model", None)
    if isinstance(model, MtpModel) and device is not None:
        place = checked_place(device, precision)
        model = _by_triton(model, device, precision) if place.type == "cuda" else None
        model = model or on_device(potential.model, device, precision)
        potential = replace(potential, model=model)
    elif not isinstance(model, DeviceMtp) or device not in (None, model.device):
        raise InputError(
            f"dynamics of {potential.name} on device '{device}'; wanted a moment tensor potential, or device=None"
        )
    return DeviceField(potential, sizes, periodic, skin_A=skin_A)


def _by_triton(model: MtpModel, device: str, precision: str) -> DeviceMtp | None:
    import importlib.util

    if importlib.util.find_spec("triton") is None:
        return None
    from hea_sim.potentials.mtp_triton import on_triton

    return on_triton(model, device, precision)
