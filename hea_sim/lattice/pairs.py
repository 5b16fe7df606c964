"""Pair Hamiltonians: energy and volume of an occupation of a cubic lattice.

| symbol | here | unit |
|---|---|---|
| E/N = sum_i c_i e_i + sum_s z_s/2 sum_ij p^s_ij J^s_ij + G | `energy_from_pairs_eV` | eV/atom |
| G = 1/2 sum_ij g_ij c_i c_j (c_i - c_j) | | eV/atom |
| V/N, likewise with v_i, w^s_ij, h_ij | `volume_from_pairs_A3` | A^3/atom |
| c_i, fraction of species i | `fractions` | |
| p^s_ij, fraction of the bonds of shell s that run from i to j | `pair_fractions` | |
| z_s, neighbours in shell s | `multiplicity` | |
| e_i, site energy relative to the element | `site_energy_eV` | eV |
| J^s_ij, energy of a bond relative to the mean of i-i and j-j bonds | `pair_energy_eV` | eV |
| v_i, w^s_ij | `element_volume_A3`, `pair_volume_A3` | A^3 |
| g_ij = -g_ji, h_ij: asymmetry of mixing, which no pair term can hold | `asymmetry_eV`, `asymmetry_A3` | eV, A^3 |

Because sum_j p_ij = c_i, like bonds carry nothing that e_i does not: J_ii = w_ii = 0 without loss, and J_ij < 0
means that unlike neighbours i-j are preferred. The asymmetry depends on the composition alone: it moves no atom, but
without it the fit would bend the pair energies to follow it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.errors import InputError, unknown_name
from hea_sim.lattice.contract import BoundModel
from hea_sim.lattice.shells import check_size, lattice_name, lattice_points, neighbour_shells, neighbour_table

if TYPE_CHECKING:
    from hea_sim.registry.cards import ModelCard

KIND = "lattice-pairs"


@dataclass(frozen=True, kw_only=True, eq=False)
class PairModel:
    """Hold a pair Hamiltonian and its volume model, with the spread of both against what they were fitted to.

    `pair_energy_eV` and `pair_volume_A3` are (shells, species, species), symmetric, with zero diagonals; a shell that
    was not fitted is zero. `reference_volume_A3` are the volumes of the pure elements in the state of the fitted cells;
    `volume_std_A3` is the cross-validated error of the volume of a cell; `relaxed` says whether the fitted cells were
    relaxed, and `volume_relaxation_A3` how far relaxing moves the volume where they were not.
    """

    name: str
    species: tuple[str, ...]
    lattice: str
    site_energy_eV: np.ndarray
    pair_energy_eV: np.ndarray
    element_volume_A3: np.ndarray
    pair_volume_A3: np.ndarray
    asymmetry_eV: np.ndarray
    asymmetry_A3: np.ndarray
    reference_volume_A3: np.ndarray
    energy_std_eV: float
    volume_std_A3: float
    relaxed: bool
    volume_relaxation_A3: float = 0.0
    card: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lattice", lattice_name(self.lattice))
        n, pairs = len(self.species), np.asarray(self.pair_energy_eV, float)
        if pairs.ndim != 3 or pairs.shape[1:] != (n, n) or not np.allclose(pairs, pairs.transpose(0, 2, 1), atol=1e-12):
            raise InputError(
                f"pair energies of {self.name}: got shape {pairs.shape}, wanted (shells, {n}, {n}), symmetric in i, j"
            )
        if np.shape(self.pair_volume_A3) != pairs.shape:
            got = np.shape(self.pair_volume_A3)
            raise InputError(f"pair volumes of {self.name}: got shape {got}, wanted {pairs.shape}")
        for name in ("asymmetry_eV", "asymmetry_A3"):
            g = np.asarray(getattr(self, name), float)
            if g.shape != (n, n) or not np.allclose(g, -g.T, atol=1e-12):
                raise InputError(
                    f"{name} of {self.name}: got {g.tolist()}, wanted ({n}, {n}), of opposite sign in j, i"
                )
        for name in ("site_energy_eV", "element_volume_A3", "reference_volume_A3"):
            if np.shape(getattr(self, name)) != (n,):
                raise InputError(f"{name} of {self.name}: got shape {np.shape(getattr(self, name))}, wanted ({n},)")
        object.__setattr__(self, "pair_energy_eV", pairs)

    @property
    def n_shells(self) -> int:
        """Count the neighbour shells."""
        return len(self.pair_energy_eV)

    @property
    def multiplicity(self) -> np.ndarray:
        """Give the number of neighbours in each shell."""
        return np.array([shell.multiplicity for shell in neighbour_shells(self.lattice, self.n_shells)])

    @property
    def shell_distance_a(self) -> np.ndarray:
        """Give the distance of each shell in lattice parameters."""
        return np.array([shell.distance_a for shell in neighbour_shells(self.lattice, self.n_shells)])

    def energy_eV_per_atom(self, occupation: np.ndarray, size: Sequence[int]) -> float:
        """Compute the energy of species indices on `size` conventional cells, relative to the elements."""
        pairs = pair_fractions(occupation, self.lattice, size, self.n_shells, len(self.species))
        return self.energy_from_pairs_eV(pairs)

    def energy_from_pairs_eV(self, pairs: np.ndarray) -> float:
        """Compute the energy per atom from pair fractions (shells, species, species)."""
        return self._sum(pairs, self.site_energy_eV, self.pair_energy_eV, self.asymmetry_eV)

    def volume_from_pairs_A3(self, pairs: np.ndarray) -> float:
        """Compute the volume per atom, in the model's own state, from pair fractions."""
        return self._sum(pairs, self.element_volume_A3, self.pair_volume_A3, self.asymmetry_A3)

    def _sum(self, pairs: np.ndarray, site: np.ndarray, bond: np.ndarray, asymmetry: np.ndarray) -> float:
        c = pairs[0].sum(axis=1)
        bonds = np.einsum("s,sij,sij->", self.multiplicity / 2, pairs, bond)
        return float(c @ site + bonds + np.einsum("ij,i,j,ij->", asymmetry / 2, c, c, c[:, None] - c[None, :]))

    def bound(self, size: Sequence[int]) -> BoundModel:
        """Give what an engine needs on a cell of this size; shells without energy are left out."""
        from hea_sim.lattice.pair_kernels import pair_composition_change, pair_energy_change

        size = check_size(size)
        tables = neighbour_table(self.lattice, size, self.n_shells)
        used = [s for s in range(self.n_shells) if np.any(self.pair_energy_eV[s])]
        neighbours = np.concatenate([np.empty((len(tables[0]), 0)), *(tables[s] for s in used)], axis=1)
        pair = np.ascontiguousarray(self.pair_energy_eV[used])
        asymmetry = np.array(self.asymmetry_eV, float)
        return BoundModel(
            energy_change=pair_energy_change,
            tables=(
                neighbours.astype(np.uint32),
                np.cumsum([0, *(tables[s].shape[1] for s in used)]),
                np.ascontiguousarray((pair[:, None] - pair[:, :, None]).transpose(1, 2, 0, 3)),
                pair,
                np.array(self.site_energy_eV, float),
                asymmetry if asymmetry.any() else np.empty((0, 0)),
            ),
            nearest=tables[0],
            sublattice=np.zeros(len(tables[0]), np.int64),
            composition_change=pair_composition_change,
        )

    def atoms(self, occupation: np.ndarray, size: Sequence[int], a_A: float) -> Any:
        """Build the `ase.Atoms` of an occupation at a lattice parameter."""
        from ase import Atoms

        symbols = [self.species[int(s)] for s in check_occupation(occupation, self.lattice, size, len(self.species))]
        points = lattice_points(self.lattice, size)
        return Atoms(symbols, positions=points * (a_A / 2), cell=np.array(check_size(size)) * a_A, pbc=True)

    def restricted(self, elements: Sequence[str]) -> PairModel:
        """Keep only some species, in the order given."""
        k = self.indices(elements)
        square = np.ix_(k, k)
        return replace(
            self,
            species=tuple(elements),
            site_energy_eV=np.asarray(self.site_energy_eV)[k],
            pair_energy_eV=self.pair_energy_eV[:, k][:, :, k],
            asymmetry_eV=np.asarray(self.asymmetry_eV)[square],
            element_volume_A3=np.asarray(self.element_volume_A3)[k],
            pair_volume_A3=np.asarray(self.pair_volume_A3)[:, k][:, :, k],
            asymmetry_A3=np.asarray(self.asymmetry_A3)[square],
            reference_volume_A3=np.asarray(self.reference_volume_A3)[k],
        )

    def indices(self, symbols: Sequence[str]) -> np.ndarray:
        """Translate chemical symbols into species indices of this model."""
        unknown = sorted(set(symbols) - set(self.species))
        if unknown:
            raise InputError(f"model {self.name} has no {', '.join(unknown)}; it knows {', '.join(self.species)}")
        return np.array([self.species.index(s) for s in symbols], dtype=np.int8)


def check_occupation(occupation: np.ndarray, lattice: str, size: Sequence[int], n_species: int) -> np.ndarray:
    """Check that there is one species index for each site."""
    occupation = np.asarray(occupation)
    n_sites = len(lattice_points(lattice, size))
    if occupation.shape != (n_sites,):
        raise InputError(
            f"occupation of {tuple(size)} {lattice} cells: got shape {occupation.shape}, wanted ({n_sites},)"
        )
    if not np.issubdtype(occupation.dtype, np.integer) or occupation.min() < 0 or occupation.max() >= n_species:
        raise InputError(f"occupation: wanted whole species indices from 0 to {n_species - 1}")
    return occupation


def pair_fractions(
    occupation: np.ndarray, lattice: str, size: Sequence[int], n_shells: int, n_species: int
) -> np.ndarray:
    """Count the bonds from species i to species j in each shell, as fractions of the shell's bonds.

    >>> b2 = np.tile([0, 1], 8)
    >>> pair_fractions(b2, "bcc", (2, 2, 2), 2, 2)[:, 0, 1]
    array([0.5, 0. ])
    """
    occupation = check_occupation(occupation, lattice, size, n_species)
    counts = np.empty((n_shells, n_species, n_species))
    for s, table in enumerate(neighbour_table(lattice, size, n_shells)):
        codes = occupation[:, None].astype(np.int64) * n_species + occupation[table]
        counts[s] = np.bincount(codes.ravel(), minlength=n_species**2).reshape(n_species, n_species) / codes.size
    return counts


def load_lattice_model(name: str) -> Any:
    """Load a model of a lattice: pairs, clusters or low rank, a shipped one or that of a model folder.

    An unknown name lists the known ones.
    """
    from hea_sim.lattice import clusters, low_rank
    from hea_sim.registry.cards import CARD_FILE, MODELS, list_models, read_arrays, read_card

    loaders = {KIND: _load, clusters.KIND: clusters.load, low_rank.KIND: low_rank.load}
    known = {card.name for card in list_models() if card.kind in loaders}
    folder = MODELS / name if name in known else Path(name)
    if not (folder / CARD_FILE).is_file():
        raise unknown_name("lattice model", name, sorted(known))
    card = read_card(folder)
    if card.kind not in loaders:
        raise InputError(f"{folder} holds a model of kind '{card.kind}'; wanted one of {', '.join(loaders)}")
    return loaders[card.kind](card, read_arrays(folder))


def _load(card: ModelCard, arrays: Mapping[str, np.ndarray]) -> PairModel:
    """Make a pair model of what its files hold."""
    return PairModel(
        name=card.name,
        species=card.elements,
        lattice=str(card.lattice),
        site_energy_eV=arrays["site_energy_eV"],
        pair_energy_eV=arrays["pair_energy_eV"],
        element_volume_A3=arrays["element_volume_A3"],
        pair_volume_A3=arrays["pair_volume_A3"],
        asymmetry_eV=arrays["asymmetry_eV"],
        asymmetry_A3=arrays["asymmetry_A3"],
        reference_volume_A3=arrays["reference_volume_A3"],
        energy_std_eV=float(arrays["energy_std_eV"].item()),
        volume_std_A3=float(arrays["volume_std_A3"].item()),
        relaxed=bool(arrays["relaxed"].item()),
        volume_relaxation_A3=float(arrays["volume_relaxation_A3"].item()),
        card=card.model_dump(),
    )


def model_arrays(model: PairModel) -> dict[str, np.ndarray]:
    """Collect the arrays that a model's file holds."""
    names = (
        "site_energy_eV", "pair_energy_eV", "element_volume_A3", "pair_volume_A3",
        "asymmetry_eV", "asymmetry_A3", "reference_volume_A3", "energy_std_eV", "volume_std_A3", "relaxed",
        "volume_relaxation_A3",
    )  # fmt: skip
    return {name: np.asarray(getattr(model, name)) for name in names}


def known_lattice_models() -> dict[str, tuple[str, ...]]:
    """List the shipped pair models with their elements."""
    from hea_sim.registry.cards import list_models

    return {card.name: card.elements for card in list_models() if card.kind == KIND}


def model_for(composition: Composition, *, lattice: str | None = None) -> PairModel | None:
    """Choose the shipped model with the fewest species that holds all elements of an alloy; None where none does."""
    known = known_lattice_models()
    fitting = sorted((len(species), name) for name, species in known.items() if set(composition) <= set(species))
    for _, name in fitting:
        model: PairModel = load_lattice_model(name)
        if lattice is None or model.lattice == lattice_name(lattice):
            return model
    return None
