"""Neighbours found on a device by torch: a cell list for periodic boxes with right angles, three cells or more a side.

Pairs are sorted by atom, neighbour and shift, and know the place of their mirror image: a force is then a sum of
differences of two gradients read, and nothing is added in an order that varies.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from hea_sim.errors import InputError

#: Candidates examined at once, 100 bytes each or so.
_AT_ONCE = 1 << 22


@dataclass(frozen=True, kw_only=True, eq=False)
class DeviceNeighbours:
    """Hold padded neighbours of n atoms, up to k each, on a device.

    `second` (n, k) the neighbour's index; `shift` (n, k, 3) the number of boxes to it; `mirror` (n, k) the place of the
    pair seen from the neighbour in the flattened list; `real` (n, k), False where an atom has no more: there the
    neighbour and the mirror are the atom and the place themselves. `lengths_A` (3,); `positions_A` (n, 3) are those
    that the list was made for, `reach_A` the distance up to which it is whole.
    """

    second: torch.Tensor
    shift: torch.Tensor
    mirror: torch.Tensor
    real: torch.Tensor
    lengths_A: torch.Tensor
    positions_A: torch.Tensor
    reach_A: float

    def vectors(self, positions_A: torch.Tensor, atoms: slice, padding_A: float) -> torch.Tensor:
        """Give the vectors (atoms, k, 3) from some atoms to their neighbours; padding lies at a given distance."""
        shift = self.shift[atoms].to(positions_A.dtype) * self.lengths_A.to(positions_A.dtype)
        found = positions_A[self.second[atoms]] - positions_A[atoms, None] + shift
        nowhere = found.new_tensor([padding_A, 0, 0])
        return torch.where(self.real[atoms][..., None], found, nowhere)

    def still_good(self, positions_A: torch.Tensor, cutoff_A: float) -> bool:
        """Tell whether all pairs within a cutoff are still listed: no atom moved by half the skin."""
        moved = (positions_A - self.positions_A).square().sum(1).max()
        return bool(moved <= (0.5 * (self.reach_A - cutoff_A)) ** 2)


def device_neighbours(
    positions_A: torch.Tensor, lengths_A: torch.Tensor, reach_A: float, *, step: int = 4
) -> DeviceNeighbours:
    """Find all neighbours within a distance in a periodic box with right angles, on the device of the positions.

    Parameters
    ----------
    positions_A
        Positions (n, 3), inside the box or not; double precision finds the pairs that `find_neighbours` does.
    lengths_A
        Sides of the box (3,), each at least three times the distance.
    reach_A
        Distance up to which pairs are listed: the cutoff and a skin.
    step
        The number of neighbours an atom is padded to is a multiple of this.

    Raises
    ------
    InputError
        Where the box is too small or a number is not finite.
    """
    sides = [float(side) for side in lengths_A]
    cells = [int(side / reach_A) if side < float("inf") else 0 for side in sides]
    if positions_A.ndim != 2 or positions_A.shape[1] != 3 or len(sides) != 3 or min(cells) < 3:
        raise InputError(
            f"box of {', '.join(f'{side:.3f}' for side in sides)} A for positions of shape {tuple(positions_A.shape)};"
            f" wanted (n, 3) and three sides of at least 3 x {reach_A:.3f} A each, or find_neighbours for smaller boxes"
        )
    if not bool(positions_A.isfinite().all()):
        raise InputError("a position is not finite; wanted numbers (did a simulation explode?)")
    lengths = lengths_A.to(positions_A)
    image = (positions_A / lengths).floor()
    wrapped = positions_A - image * lengths
    atom, second, shift = _pairs(wrapped, lengths, reach_A, torch.tensor(cells, device=positions_A.device))
    n = len(positions_A)
    code = ((shift + 1) * shift.new_tensor([9, 3, 1])).sum(1)
    order = torch.argsort((atom * n + second) * 27 + code)
    atom, second, shift, code = atom[order], second[order], shift[order], code[order]
    counts = torch.bincount(atom, minlength=n)
    width = -(-max(int(counts.max()), 1) // step) * step
    column = torch.arange(len(atom), device=atom.device) - (counts.cumsum(0) - counts)[atom]
    place = atom * width + column
    flat = torch.arange(n * width, device=atom.device)
    mirror = flat.clone()
    # Sorted by what their mirror images are sorted by, the pairs stand in the order of their mirror images.
    mirror[place[torch.argsort((second * n + atom) * 27 + 26 - code)]] = place
    padded = flat // width
    padded[place] = second
    shifts = shift.new_zeros(n * width, 3, dtype=torch.int32)
    shifts[place] = (shift + image[atom] - image[second]).to(torch.int32)
    real = torch.zeros(n * width, dtype=torch.bool, device=atom.device)
    real[place] = True
    return DeviceNeighbours(
        second=padded.view(n, width),
        shift=shifts.view(n, width, 3),
        mirror=mirror.view(n, width),
        real=real.view(n, width),
        lengths_A=lengths,
        positions_A=positions_A.clone(),
        reach_A=float(reach_A),
    )


def _pairs(
    wrapped: torch.Tensor, lengths: torch.Tensor, reach_A: float, cells: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Give atom, neighbour and shift of all pairs of atoms inside a box, by the cells around each atom's own."""
    device, n = wrapped.device, len(wrapped)
    mine = torch.minimum((wrapped / lengths * cells).long().clamp(min=0), cells - 1)
    strides = torch.stack([cells[1] * cells[2], cells[2], cells.new_ones(())])
    cell = (mine * strides).sum(1)
    order = torch.argsort(cell, stable=True)
    counts = torch.bincount(cell, minlength=int(cells.prod()))
    most = int(counts.max())
    table = torch.full((len(counts), most), -1, device=device)
    table[cell[order], torch.arange(n, device=device) - (counts.cumsum(0) - counts)[cell[order]]] = order
    around = torch.cartesian_prod(*[torch.arange(-1, 2, device=device)] * 3)
    found = []
    rows = max(1, _AT_ONCE // (27 * most))
    for start in range(0, n, rows):
        atoms = torch.arange(start, min(start + rows, n), device=device)
        theirs = mine[atoms, None] + around  # (rows, 27, 3)
        shift = torch.div(theirs, cells, rounding_mode="floor")
        second = table[((theirs - shift * cells) * strides).sum(2)]  # (rows, 27, most)
        # Seen from the other atom the same numbers come with the other sign, so both agree on who is near.
        vectors = (wrapped[second.clamp(min=0)] - wrapped[atoms, None, None]) + (shift * lengths)[:, :, None]
        itself = (second == atoms[:, None, None]) & (shift == 0).all(2)[..., None]
        near = (vectors.square().sum(3) < reach_A**2) & (second >= 0) & ~itself
        row, offset, slot = near.nonzero(as_tuple=True)
        found.append((atoms[row], second[row, offset, slot], shift[row, offset]))
    atom, second, shift = (torch.cat(parts) for parts in zip(*found, strict=True))
    return atom, second, shift
