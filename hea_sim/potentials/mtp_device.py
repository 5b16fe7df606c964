"""Moment tensor potentials on a device: padded neighbours, chunks of atoms, CUDA graphs; the surface stays NumPy.

An *engine* computes energies and gradients of atoms with padded neighbours: `LayerTerms` in plain torch operations,
`TritonTerms` in one compiled kernel, `CapturedTerms` around the former as a CUDA graph for each shape. `DeviceMtp`
feeds it and is a site model like any other.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import torch

from hea_sim.errors import InputError, unknown_name
from hea_sim.potentials.mtp import MtpModel
from hea_sim.potentials.mtp_layers import LayerTerms

if TYPE_CHECKING:
    from hea_sim.potentials.environment import Environment

DTYPES = {"float64": torch.float64, "float32": torch.float32}
#: Atoms at once: what lies between inputs and results takes some 20 kB an atom at level 12, 60 kB at level 16.
CHUNKS = {"cpu": 512, "cuda": 65536}


class Engine(Protocol):
    """What computes; `LayerTerms.terms` says of what."""

    def terms(
        self, vectors: torch.Tensor, mine: torch.Tensor, theirs: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Give energies (n,) and gradients (n, k, 3); the next call may overwrite them."""


class PaddedPairs(Protocol):
    """What forces need of neighbours; `DeviceNeighbours` says of what."""

    @property
    def second(self) -> torch.Tensor:
        """Neighbours (n, k)."""

    @property
    def mirror(self) -> torch.Tensor:
        """Place of each pair seen from its neighbour (n, k)."""

    def vectors(self, positions_A: torch.Tensor, atoms: slice, padding_A: float) -> torch.Tensor:
        """Give the vectors (atoms, k, 3) from some atoms to their neighbours."""


class _Captured(NamedTuple):
    graph: Any
    inputs: tuple[torch.Tensor, ...]
    outputs: tuple[torch.Tensor, torch.Tensor]


class CapturedTerms:
    """Record the work of an engine as a CUDA graph for each shape it meets, and replay it."""

    def __init__(self, engine: Engine, keep: int = 4) -> None:
        self._engine, self._keep = engine, keep
        self._captured: OrderedDict[tuple[int, ...], _Captured] = OrderedDict()

    def terms(
        self, vectors: torch.Tensor, mine: torch.Tensor, theirs: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Give what the engine gives; the next call overwrites it."""
        shape = tuple(vectors.shape)
        with torch.cuda.device_of(vectors):
            if shape not in self._captured:
                if len(self._captured) == self._keep:
                    self._captured.popitem(last=False)
                self._captured[shape] = self._capture(vectors, mine, theirs)
            self._captured.move_to_end(shape)
            captured = self._captured[shape]
            for own, given in zip(captured.inputs, (vectors, mine, theirs), strict=True):
                own.copy_(given)
            captured.graph.replay()
        return captured.outputs

    def _capture(self, *given: torch.Tensor) -> _Captured:
        inputs = tuple(tensor.clone(memory_format=torch.contiguous_format) for tensor in given)
        # What libraries set up on first use cannot be recorded, so it happens before, on a stream aside.
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(2):
                self._engine.terms(*inputs)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = self._engine.terms(*inputs)
        return _Captured(graph, inputs, outputs)


@dataclass(frozen=True, kw_only=True, eq=False)
class DeviceMtp:
    """Evaluate an MTP on a device behind the contract of all potentials.

    `chunk` atoms at most are computed at once. With `steps` (atoms, neighbours) shapes are rounded up to multiples, so
    that few differ.
    """

    model: MtpModel
    engine: Engine
    device: str
    dtype: str
    chunk: int
    steps: tuple[int, int] = (1, 1)

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols in the order of the coefficients."""
        return self.model.elements

    @property
    def cutoff_A(self) -> float:
        """Distance in A beyond which atoms do not see each other."""
        return self.model.cutoff_A

    def site_terms(self, environment: Environment) -> tuple[np.ndarray, np.ndarray]:
        """Give site energies (n,) in eV and dE_i / dD_ij (pairs, 3) in eV/A, the latter in the model's precision."""
        species = environment.indices_of(self.elements)
        gradients = np.zeros((len(environment.second), 3), self.dtype)
        if not len(gradients):
            return self.model.species_eV[species], gradients
        pairs = _near_pairs(environment, species, self.model, DTYPES[self.dtype], self.device)
        energies = torch.empty(len(species), dtype=torch.float64, device=self.device)
        found = torch.zeros(gradients.shape, dtype=DTYPES[self.dtype], device=self.device)
        rows = self._rows(len(species))
        width = _rounded(max(pairs.most, 1), self.steps[1])
        starts = range(0, len(species), rows)
        limits = pairs.starts[[*starts, len(species)]].tolist()
        for start, first, last in zip(starts, limits, limits[1:], strict=False):
            inside = slice(first, last)
            atom, column = pairs.atom[inside] - start, pairs.column[inside]
            vectors = found.new_zeros(rows, width, 3)
            vectors[..., 0] = self._padding_A
            vectors[atom, column] = pairs.vectors[inside]
            theirs = pairs.theirs.new_zeros(rows, width)
            theirs[atom, column] = pairs.theirs[inside]
            here = pairs.mine[start : start + rows]
            mine = theirs.new_zeros(rows)
            mine[: len(here)] = here
            energy, gradient = self.engine.terms(vectors, mine, theirs)
            energies[start : start + rows] = energy[: len(here)]
            found[pairs.number[inside]] = gradient[atom, column]
        return energies.cpu().numpy(), found.cpu().numpy()

    def forces(
        self,
        positions_A: torch.Tensor,
        species: torch.Tensor,
        neighbours: PaddedPairs,
        sizes: Sequence[int] | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Give site energies (n,) in eV, forces (n, 3) in eV/A and the virial (3, 3) in eV, all on the device.

        `positions_A` (n, 3) and `species` (n,), places in `elements`, lie on the device already. Where several systems
        stand one after the other, `sizes` asks for the virial of each (systems, 3, 3). The same list gives the same
        bits: nothing is added in an order that varies.
        """
        n, width = neighbours.second.shape
        rows = self._rows(n)
        energies = torch.empty(n, dtype=torch.float64, device=positions_A.device)
        gradients = torch.empty(n, width, 3, dtype=DTYPES[self.dtype], device=positions_A.device)
        virials = torch.empty(n, 3, 3, dtype=torch.float64, device=positions_A.device)
        for start in range(0, n, rows):
            # The last chunk reaches back, so that all have one shape; what is computed twice is the same.
            begin = max(0, min(start, n - rows))
            atoms = slice(begin, begin + rows)
            vectors = neighbours.vectors(positions_A, atoms, self._padding_A).to(gradients.dtype)
            theirs = species[neighbours.second[atoms]]
            energy, gradient = self.engine.terms(vectors, species[atoms], theirs)
            energies[atoms], gradients[atoms] = energy, gradient
            virials[atoms] = vectors.double().transpose(1, 2) @ gradient.double()
        mirrored = gradients.view(-1, 3)[neighbours.mirror.view(-1)].view_as(gradients)
        forces = (gradients - mirrored).sum(1)
        if sizes is None:
            return energies, forces, virials.sum(0)
        return energies, forces, torch.stack([one.sum(0) for one in virials.split(list(sizes))])

    @property
    def _padding_A(self) -> float:
        """Where neighbours stand that are none: at the cutoff itself a rounding could bring them in."""
        return 1.1 * self.cutoff_A

    def _rows(self, n: int) -> int:
        """Give the number of atoms of a chunk, the same for all chunks and as small as their number allows."""
        chunks = -(-n // self.chunk)
        return _rounded(-(-n // chunks), self.steps[0])


def on_device(
    model: MtpModel, device: str = "cuda", dtype: str = "float32", *, capture: bool | None = None, chunk: int = 0
) -> DeviceMtp:
    """Put a potential on a device, evaluated by torch.

    Parameters
    ----------
    model
        The potential.
    device
        "cuda", "cuda:1" or "cpu".
    dtype
        "float32" or "float64". Energies are summed in double precision in both.
    capture
        Replay CUDA graphs, one for each shape; None: on CUDA.
    chunk
        Most atoms at once; 0 for what suits the device.

    Raises
    ------
    InputError, UnknownNameError
        Where there is no such device or precision.
    """
    place = checked_place(device, dtype)
    on_cuda = place.type == "cuda"
    if capture and not on_cuda:
        raise InputError(f"CUDA graphs on '{device}'; wanted device='cuda', or capture=False")
    engine: Engine = LayerTerms(model, dtype=DTYPES[dtype], device=place)
    captured = on_cuda if capture is None else capture
    return DeviceMtp(
        model=model,
        engine=CapturedTerms(engine) if captured else engine,
        device=str(place),
        dtype=dtype,
        chunk=chunk or CHUNKS[place.type],
        steps=(256, 4) if captured else (1, 1),
    )


def checked_place(device: str, dtype: str) -> torch.device:
    """Give a device that exists, or say that it does not."""
    if dtype not in DTYPES:
        raise unknown_name("precision", dtype, DTYPES)
    if device.partition(":")[0] not in CHUNKS:
        raise unknown_name("device", device, CHUNKS)
    try:
        place = torch.device(device)
    except RuntimeError as error:
        raise InputError(f"device '{device}'; wanted 'cpu', 'cuda' or 'cuda:N'") from error
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"device '{device}': torch sees {torch.cuda.device_count()} CUDA devices here; wanted one of them, or 'cpu'"
        )
    return place


def _rounded(number: int, step: int) -> int:
    return -(-number // step) * step


class _NearPairs(NamedTuple):
    """Hold the pairs within the cutoff on a device: atom, column in the padded list, vector, species, number."""

    mine: torch.Tensor
    starts: torch.Tensor
    atom: torch.Tensor
    column: torch.Tensor
    vectors: torch.Tensor
    theirs: torch.Tensor
    number: torch.Tensor
    most: int


def _near_pairs(
    environment: Environment, species: np.ndarray, model: MtpModel, dtype: torch.dtype, device: str
) -> _NearPairs:
    """Move an environment to a device and leave out the pairs beyond the cutoff."""
    mine = torch.as_tensor(species, device=device)
    second = torch.as_tensor(environment.second, device=device)
    vectors = torch.as_tensor(environment.vectors, device=device)
    counts = torch.as_tensor(np.diff(environment.starts), device=device)
    number = (vectors.square().sum(1) < model.cutoff_A**2).nonzero().flatten()
    atom = torch.repeat_interleave(torch.arange(len(mine), device=device), counts)[number]
    counts = torch.bincount(atom, minlength=len(mine))
    starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    return _NearPairs(
        mine=mine,
        starts=starts,
        atom=atom,
        column=torch.arange(len(number), device=device) - starts[atom],
        vectors=vectors[number].to(dtype),
        theirs=mine[second[number]],
        number=number,
        most=int(counts.max()),
    )
