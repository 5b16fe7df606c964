"""The settings of `hea fit lattice`: one strict model that Python, the shell and TOML files share."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from hea_sim.errors import InputError
from hea_sim.settings import ModelName, StrictSettings


class CellSettings(StrictSettings):
    """Which cells are drawn where a potential labels them.

    `size` counts cells of the parent; compositions are drawn over all subsets of the elements, half of them with equal
    parts, or are those of `compositions`, each a table such as {Nb = 1, Mo = 1}. `annealed` cells are cooled by a
    lattice model (`annealer`) to temperatures within the range; without one, by a first fit of this family to the
    others. `relax` = "volume" leaves the atoms on their sites.
    """

    size: tuple[int, int, int] = (3, 3, 3)
    random: int = Field(default=120, ge=0, le=100000)
    annealed: int = Field(default=60, ge=0, le=100000)
    ordered: bool = True
    candidates: int = Field(default=1, ge=1, le=100000)
    temperatures_K: tuple[float, float] = (150.0, 2500.0)
    annealer: str = ""
    compositions: tuple[dict[str, float], ...] = ()
    relax: Literal["atoms", "volume"] = "atoms"
    fmax_eV_per_A: float = Field(default=5e-3, gt=0)
    test_share: float = Field(default=0.2, ge=0, lt=0.9)

    @model_validator(mode="after")
    def _something_to_draw(self) -> CellSettings:
        if not 0 < self.temperatures_K[0] <= self.temperatures_K[1]:
            raise InputError(f"temperatures_K {list(self.temperatures_K)}; wanted a lower and an upper end above 0")
        if min(self.size) < 1 or self.random + self.annealed == 0:
            raise InputError(f"size {list(self.size)}, {self.random} random cells; wanted sizes and numbers above 0")
        return self


class PairSettings(StrictSettings):
    """Settings of a pair Hamiltonian: its neighbour shells, numbered from one."""

    shells: tuple[int, ...] = (1, 2, 3)


class ClusterSettings(StrictSettings):
    """Settings of a cluster expansion: largest distance within a cluster by its number of sites, lattice parameters.

    In TOML: cutoffs_a = { 2 = 1.8, 3 = 1.1 }.
    """

    cutoffs_a: dict[int, float] = Field(default={2: 1.74, 3: 1.01})
    method: Literal["least-squares", "lasso", "bayes", "ard"] = "bayes"
    functions: Literal["orthogonal", "indicator"] = "orthogonal"


class LowRankSettings(StrictSettings):
    """Settings of a low-rank potential: shells of the neighbourhood; ranks and penalties that are compared."""

    n_shells: int = Field(default=1, ge=1, le=4)
    ranks: tuple[int, ...] = (2, 3, 4)
    penalties: tuple[float, ...] = (0.003, 0.01, 0.03)
    starts: int = Field(default=1, ge=1, le=100)
    sweeps: int = Field(default=10, ge=1, le=1000)


class FitLatticeJob(StrictSettings):
    """Settings of `hea fit lattice`.

    Labels come from extended XYZ files (`train`, `test`) of relaxed or unrelaxed cells of the lattice, or from a
    `potential`, which labels cells that are drawn (`cells`). `sublattices` names the species of each sublattice of an
    ordered parent (B2, L1_2). `element_energies_eV` are total energies per atom, where no cell of the pure element is
    among the files.
    """

    name: ModelName = "own-lattice-model"
    family: Literal["pairs", "clusters", "low-rank"] = "clusters"
    elements: tuple[str, ...] = Field(min_length=2)
    lattice: str = "A2"
    c_over_a: float | None = Field(default=None, gt=0)
    sublattices: tuple[tuple[str, ...], ...] = ()
    train: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    potential: str = ""
    element_energies_eV: dict[str, float] = Field(default={})
    cells: CellSettings = CellSettings()
    pairs: PairSettings = PairSettings()
    clusters: ClusterSettings = ClusterSettings()
    low_rank: LowRankSettings = LowRankSettings()
    folds: int = Field(default=5, ge=2, le=100)
    drop_leaked: bool = True
    figures: bool = True
    seed: int = Field(default=0, ge=0)
    data_source: str = "own data"
    data_licence: str = "not stated"
    data_citation: str = ""
    licence: str = "GPL-3.0-or-later"

    @field_validator("train", "test", mode="before")
    @classmethod
    def _one_file_is_a_list(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("elements")
    @classmethod
    def _elements_differ(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        from ase.data import atomic_numbers

        wrong = [e for e in value if e not in atomic_numbers]
        if wrong or len(set(value)) != len(value):
            raise InputError(f"elements {', '.join(value)}; wanted different chemical symbols")
        return value

    @model_validator(mode="after")
    def _labels_from_one_place(self) -> FitLatticeJob:
        if bool(self.train) == bool(self.potential):
            raise InputError("labels: give either train (files) or potential (its name), and not both")
        if self.potential and self.test:
            raise InputError("test files with a potential; wanted cells.test_share, cells labelled by one source alone")
        if (self.potential or self.family == "pairs") and self.lattice.lower() not in ("a1", "a2", "fcc", "bcc"):
            what = f"potential = '{self.potential}'" if self.potential else "family = 'pairs'"
            raise InputError(
                f"lattice {self.lattice} with {what}; wanted A1 or A2 (other lattices: train files, clusters)"
            )
        return self
