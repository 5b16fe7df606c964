"""The rows of a linear fit, reduced as they come: one triangle for each group, kind of label and shard.

| symbol | here |
|---|---|
| X c = y, rows of one block | design rows and labels: energy per atom in eV, forces in eV/A, stress in eV/A^3 |
| [X y] = Q R | `Rows.triangles`: R alone is kept, (features + 1) squared numbers however many rows there were |
| |X c - y|^2 = |R (c, -1)|^2 | sums of squared errors of any coefficients, without going back to the structures |

Triangles of blocks add: weights, penalties, groups left out and smaller training sets need no second pass. Keeping R
and not X^T X leaves the condition number as it is, instead of squaring it.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from hea_sim.documents import write_atomic
from hea_sim.errors import InputError
from hea_sim.potentials.contract import LinearModel
from hea_sim.potentials.environment import find_neighbours
from hea_sim.potentials.fitting.structures import TrainingStructure

KINDS = ("energy", "force", "stress")
Model = TypeVar("Model", bound="LinearModel")
#: Blocks of triangles above this are refused, in bytes.
LARGEST_MEMORY = 6e9
_ATOMS_AT_ONCE = 128


class Block(NamedTuple):
    """Name the rows of one triangle."""

    group: str
    kind: str
    shard: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """Hold triangles (features + 1, features + 1) and how many rows each stands for.

    `constant` (features,) are the features that move no atom, such as the energy of a lone atom. `energies`
    (structures, features + 1) are the rows of energy per atom one by one, `blocks` says where each belongs.
    """

    n_features: int
    triangles: Mapping[Block, np.ndarray]
    counts: Mapping[Block, int]
    constant: np.ndarray
    energies: np.ndarray
    blocks: tuple[Block, ...]

    @property
    def groups(self) -> tuple[str, ...]:
        """List the groups."""
        return tuple(dict.fromkeys(block.group for block in self.counts))

    @property
    def shards(self) -> tuple[int, ...]:
        """List the shards in order."""
        return tuple(sorted({block.shard for block in self.counts}))

    def select(self, keep: Callable[[Block], bool]) -> Rows:
        """Keep some blocks."""
        kept = [keep(b) for b in self.blocks]
        return Rows(
            n_features=self.n_features,
            triangles={b: t for b, t in self.triangles.items() if keep(b)},
            counts={b: n for b, n in self.counts.items() if keep(b)},
            constant=self.constant,
            energies=self.energies[np.array(kept, bool)],
            blocks=tuple(b for b, k in zip(self.blocks, kept, strict=True) if k),
        )

    def merged(self, weights: Callable[[Block], float]) -> np.ndarray:
        """Add the blocks, each scaled by the root of its weight; give one triangle."""
        total = np.zeros((self.n_features + 1, self.n_features + 1))
        for block in sorted(self.triangles):
            if (weight := weights(block)) > 0:
                total = add_rows(total, np.sqrt(weight) * self.triangles[block])
        return total

    def squares(self, coefficients: np.ndarray) -> dict[Block, float]:
        """Give the sum of squared errors of each block."""
        vector = np.append(coefficients, -1.0)
        return {block: float(np.square(triangle @ vector).sum()) for block, triangle in self.triangles.items()}


def triangle_of(rows: np.ndarray) -> np.ndarray:
    """Give R of rows = Q R."""
    reduced: Any = np.linalg.qr(rows, mode="r")
    return np.asarray(reduced)


def add_rows(triangle: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Take more rows [X y] into a triangle."""
    reduced = triangle_of(np.concatenate([triangle, rows]))
    if len(reduced) < len(triangle):
        reduced = np.concatenate([reduced, np.zeros((len(triangle) - len(reduced), triangle.shape[1]))])
    return reduced


def build_rows(
    model: LinearModel,
    structures: Sequence[TrainingStructure],
    *,
    shards: Sequence[int] | None = None,
    fixed: LinearModel | Any = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int = 500,
    progress: Callable[[int, int], None] | None = None,
) -> Rows:
    """Reduce all design rows of structures to triangles.

    `shards` gives each structure a number of its own choice, to split by later. `fixed` is a site model whose energy,
    forces and stress are taken off the labels first, such as a repulsion of nuclei. With `checkpoint`, a stopped run
    goes on and ends with the same bits. Raises InputError where a label cannot be used.
    """
    numbers = list(shards) if shards is not None else [0] * len(structures)
    gatherer = _Gatherer(model, fixed, {(s.group, k) for s, k in zip(structures, numbers, strict=True)})
    path = None if checkpoint is None else Path(checkpoint)
    identity = _identity(model, structures, numbers)
    done = 0 if path is None else gatherer.restore(path, identity)
    since = done
    for start, end in _chunks(structures, done):
        gatherer.add(structures[start:end], numbers[start:end])
        if path is not None and (end - since >= checkpoint_every or end == len(structures)):
            gatherer.store(path, end, identity)
            since = end
        if progress is not None:
            progress(end, len(structures))
    return gatherer.rows()


def _identity(model: LinearModel, structures: Sequence[TrainingStructure], shards: Sequence[int]) -> str:
    """Digest what a checkpoint belongs to: the labels, how they are split, and the design of the first structure."""
    digest = hashlib.sha256(np.array([s.energy_eV for s in structures]).tobytes())
    digest.update(np.asarray(shards, np.int64).tobytes())
    digest.update(repr([(s.group, s.n_atoms) for s in structures]).encode())
    first = model.design(find_neighbours([structures[0].atoms], model.cutoff_A)).energy
    digest.update(np.asarray(first).round(9).tobytes())
    return digest.hexdigest()


def _chunks(structures: Sequence[TrainingStructure], start: int) -> Iterator[tuple[int, int]]:
    while start < len(structures):
        end, atoms = start, 0
        while end < len(structures) and (end == start or atoms + structures[end].n_atoms <= _ATOMS_AT_ONCE):
            atoms += structures[end].n_atoms
            end += 1
        yield start, end
        start = end


class _Gatherer:
    """Collect rows until a block has enough of them to be worth a reduction."""

    def __init__(self, model: LinearModel, fixed: Any, parts: set[tuple[str, int]]) -> None:
        self.model, self.fixed, self.size = model, fixed, model.n_features + 1
        memory = 8.0 * self.size**2 * len(parts) * len(KINDS)
        if memory > LARGEST_MEMORY:
            raise InputError(
                f"{model.n_features} coefficients in {len(parts)} groups and shards would take {memory / 1e9:.0f} GB;"
                " use fewer groups, shards or coefficients"
            )
        self.triangles: dict[Block, np.ndarray] = {}
        self.counts: dict[Block, int] = {}
        self.waiting: dict[Block, list[np.ndarray]] = {}
        self.constant = np.ones(model.n_features, bool)
        self.energies: list[np.ndarray] = []
        self.blocks: list[Block] = []

    def add(self, structures: Sequence[TrainingStructure], shards: Sequence[int]) -> None:
        """Add the rows of structures, evaluated together."""
        environment = find_neighbours([s.atoms for s in structures], self.model.cutoff_A)
        design = self.model.design(environment)
        base = labels_of(self.fixed, structures)
        self.constant &= ~np.asarray(design.forces).any(axis=0)
        atom = 0
        for k, (structure, shard) in enumerate(zip(structures, shards, strict=True)):
            n, parts = structure.n_atoms, base[k]
            energy = np.append(design.energy[k], structure.energy_eV - parts[0]) / n
            forces = design.forces[3 * atom : 3 * (atom + n)]
            pull = (structure.forces_eV_per_A - parts[1]).reshape(-1, 1)
            self._put(Block(structure.group, "energy", shard), energy[None])
            self.energies.append(energy)
            self.blocks.append(Block(structure.group, "energy", shard))
            self._put(Block(structure.group, "force", shard), np.concatenate([forces, pull], axis=1))
            if structure.stress_eV_per_A3 is not None:
                strain = (structure.stress_eV_per_A3 - parts[2])[:, None]
                self._put(Block(structure.group, "stress", shard), np.concatenate([design.stress[k], strain], axis=1))
            atom += n

    def _put(self, block: Block, rows: np.ndarray) -> None:
        if not np.isfinite(rows).all():
            raise InputError(
                f"group {block.group}: a {block.kind} or its design row is not finite; audit the set first"
            )
        self.counts[block] = self.counts.get(block, 0) + len(rows)
        waiting = self.waiting.setdefault(block, [])
        waiting.append(rows)
        if sum(map(len, waiting)) >= 4 * self.size:
            self._reduce(block)

    def _reduce(self, block: Block) -> None:
        rows = self.waiting.pop(block, [])
        if rows:
            triangle = self.triangles.get(block, np.zeros((self.size, self.size)))
            self.triangles[block] = add_rows(triangle, np.concatenate(rows))

    def rows(self) -> Rows:
        """Reduce what waits and give the triangles."""
        for block in list(self.waiting):
            self._reduce(block)
        return Rows(
            n_features=self.model.n_features,
            triangles=dict(sorted(self.triangles.items())),
            counts=dict(sorted(self.counts.items())),
            constant=self.constant,
            energies=np.array(self.energies).reshape(-1, self.size),
            blocks=tuple(self.blocks),
        )

    def store(self, path: Path, done: int, identity: str) -> None:
        """Write all triangles and what waits, atomically."""
        arrays: dict[str, np.ndarray] = {
            "done": np.array(done),
            "identity": np.array(identity),
            "constant": self.constant,
        }
        arrays["energies"] = np.array(self.energies)
        arrays["places"] = np.array([[b.group, str(b.shard)] for b in self.blocks])
        blocks = sorted(self.counts)
        arrays["blocks"] = np.array([[b.group, b.kind, str(b.shard), str(self.counts[b])] for b in blocks])
        for k, block in enumerate(blocks):
            if block in self.triangles:
                arrays[f"r{k}"] = self.triangles[block]
            if block in self.waiting:
                arrays[f"w{k}"] = np.concatenate(self.waiting[block])
        stream = io.BytesIO()
        np.savez(stream, allow_pickle=False, **arrays)
        write_atomic(path, stream.getvalue())

    def restore(self, path: Path, identity: str) -> int:
        """Read what an earlier run left; give how many structures it had done."""
        if not path.is_file():
            return 0
        with np.load(path, allow_pickle=False) as stored:
            if str(stored["identity"]) != identity:
                raise InputError(
                    f"{path} belongs to another fit (other structures, splits or model); remove it or choose another"
                    " folder"
                )
            self.constant, self.energies = stored["constant"], list(stored["energies"])
            self.blocks = [Block(group, "energy", int(shard)) for group, shard in stored["places"].tolist()]
            for k, (group, kind, shard, count) in enumerate(stored["blocks"].tolist()):
                block = Block(group, kind, int(shard))
                self.counts[block] = int(count)
                if f"r{k}" in stored:
                    self.triangles[block] = stored[f"r{k}"]
                if f"w{k}" in stored:
                    self.waiting[block] = [stored[f"w{k}"]]
            return int(stored["done"])


def labels_of(fixed: Any, structures: Sequence[TrainingStructure]) -> list[tuple[float, np.ndarray, np.ndarray]]:
    """Give energy, forces and stress of a model that is taken off the labels."""
    if fixed is None:
        return [(0.0, np.zeros((s.n_atoms, 3)), np.zeros(6)) for s in structures]
    from hea_sim.potentials.contract import SitePotential

    results = SitePotential(name="fixed", model=fixed).evaluate([s.atoms for s in structures])
    return [
        (
            r.energy_eV,
            r.forces_eV_per_A,
            np.zeros(6) if r.stress_eV_per_A3 is None else r.stress_eV_per_A3.ravel()[[0, 4, 8, 5, 2, 1]],
        )
        for r in results
    ]
