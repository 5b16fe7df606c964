"""Universal potentials, trained by others on most of the periodic table, behind the contract of this room.

`chgnet` (Deng et al. 2023, doi:10.1038/s42256-023-00716-3) and `7net-0` (Park et al. 2024,
doi:10.1021/acs.jctc.4c00190) carry their weights in their packages: nothing is downloaded. They compute in single
precision. Other ASE calculators need no door here: mechanics and teachers take them as they are.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from hea_sim.errors import InputError, MissingDependencyError, MissingFileError, unknown_name
from hea_sim.potentials.contract import AtomisticResult
from hea_sim.potentials.environment import find_neighbours

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator

#: Globals beside tensors that checkpoints of these packages hold: arrays of numbers.
_ARRAY_GLOBALS = ("Float64DType", "Float32DType", "Int64DType", "Int32DType", "BoolDType")


@dataclass(frozen=True, kw_only=True, eq=False)
class UniversalPotential:
    """Hold a universal potential; a `Potential`.

    `cutoff_A` is the reach of one of its `layers` of message passing: atoms feel each other over several of them.
    """

    name: str
    elements: tuple[str, ...]
    cutoff_A: float
    layers: int
    make_calculator: Callable[[], Any]
    notes: tuple[str, ...] = ()

    @overload
    def evaluate(self, atoms: Atoms, *, uncertainty: bool = False) -> AtomisticResult: ...
    @overload
    def evaluate(self, atoms: Sequence[Atoms], *, uncertainty: bool = False) -> list[AtomisticResult]: ...
    def evaluate(
        self, atoms: Atoms | Sequence[Atoms], *, uncertainty: bool = False
    ) -> AtomisticResult | list[AtomisticResult]:
        """Evaluate one system, or many of any sizes and periodicity; no std of the energy is known.

        Raises InputError where an element is unknown, atoms overlap or a number is not finite.
        """
        if hasattr(atoms, "numbers"):
            return self._evaluate(atoms)
        return [self._evaluate(system) for system in atoms]

    def calculator(self) -> Calculator:
        """Give an ASE calculator; all share the weights."""
        return self.make_calculator()

    @cached_property
    def _own(self) -> Any:
        return self.make_calculator()

    def _evaluate(self, atoms: Any) -> AtomisticResult:
        # near pairs alone: this refuses what no potential can take, at no cost
        find_neighbours([atoms], 1.0).indices_of(self.elements)
        self._own.calculate(_in_vacuum(atoms, self.cutoff_A), ["energy", "forces", "stress"])
        found = self._own.results
        stress = np.asarray(found["stress"], float)
        if stress.shape == (6,):
            stress = stress[[[0, 5, 4], [5, 1, 3], [4, 3, 2]]]
        return AtomisticResult(
            energy_eV=float(found["energy"]),
            site_energies_eV=np.asarray(found["energies"], float),
            forces_eV_per_A=np.asarray(found["forces"], float),
            stress_eV_per_A3=0.5 * (stress + stress.T) if atoms.pbc.all() else None,
        )


def _in_vacuum(atoms: Atoms, cutoff_A: float) -> Atoms:
    """Make atoms periodic everywhere, with more than a cutoff of vacuum along directions that are not."""
    if atoms.pbc.all():
        return atoms
    padded = atoms.copy()
    padded.set_constraint()
    for axis in np.flatnonzero(~atoms.pbc):
        padded.center(vacuum=0.5 * cutoff_A + 1.0, axis=int(axis))
    padded.pbc = True
    return padded


def universal_potential(name: str, *, weights: str | Path | None = None, device: str = "cpu") -> UniversalPotential:
    """Load a universal potential: "chgnet" or "7net-0", with weights of its package.

    `weights` is a checkpoint of your own, for "chgnet" and "sevenn". It is read as tensors, numbers and words alone;
    one that holds Python objects is refused, since reading those runs what they say. MACE models are such objects, so
    they have no door here. Raises MissingDependencyError with the line to install, UnknownNameError, InputError.
    """
    if "mace" in name.lower():
        raise InputError(
            "MACE models are pickled Python objects, which run code when they are read, so they are not loaded here; if"
            " you trust yours, load it with mace and use its ASE calculator, or fit a potential to its labels"
        )
    loaders: dict[str, Callable[[str | None, str], UniversalPotential]] = {
        "chgnet": _chgnet,
        "7net-0": _sevennet,
        "sevenn": _sevennet,
    }
    if name not in loaders:
        raise unknown_name("universal potential", name, loaders)
    if name == "7net-0" and weights is not None:
        raise InputError("7net-0 has its own weights; to load yours, name it 'sevenn'")
    if name == "sevenn" and weights is None:
        raise InputError("'sevenn' needs weights=, a checkpoint of yours; the one of the package is '7net-0'")
    with contextlib.ExitStack() as stack:
        path = None if weights is None else stack.enter_context(_only_tensors(Path(weights)))
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                potential = loaders[name](path, device)
            return potential if weights is None else replace(potential, name=f"{name} {Path(weights).name}", notes=())
        except ImportError as error:
            raise MissingDependencyError(
                f"{name} cannot be loaded ({error}); install the extra: pip install 'hea-toolkit[mlip]'"
            ) from error
        except Exception as error:
            if weights is None:
                raise
            raise InputError(
                f"{weights} is no model of {name} ({type(error).__name__}: {error}); give a checkpoint of that package"
            ) from error


@contextlib.contextmanager
def _only_tensors(path: Path) -> Any:
    """Write a copy of a checkpoint that holds nothing but tensors, arrays, numbers and words; give its path.

    The packages unpickle freely. They are given what a restricted reader made of the file, never the file itself.
    """
    import torch

    if not path.is_file():
        raise MissingFileError(f"no file {path}; give a checkpoint")
    allowed: list[Any] = [np.ndarray, np.dtype, *(getattr(np.dtypes, name) for name in _ARRAY_GLOBALS)]
    allowed += [(np.empty(0).__reduce__()[0], f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")]
    try:
        with torch.serialization.safe_globals(allowed):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(
            f"{path} holds more than tensors and numbers, or is no checkpoint; reading Python objects runs code, so it"
            " is refused: save the weights as a state dict"
        ) from error
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "weights.pth"
        torch.save(content, copy)
        yield str(copy)


def _chgnet(weights: str | None, device: str) -> UniversalPotential:
    from ase.data import chemical_symbols
    from chgnet.model import CHGNet
    from chgnet.model.dynamics import CHGNetCalculator

    network = CHGNet.load(use_device=device, verbose=False) if weights is None else CHGNet.from_file(weights).to(device)
    network.eval()

    def make() -> Any:
        with contextlib.redirect_stdout(io.StringIO()):
            return CHGNetCalculator(network, use_device=device, on_isolated_atoms="ignore", return_site_energies=True)

    return UniversalPotential(
        name="chgnet",
        elements=tuple(chemical_symbols[1:95]),
        cutoff_A=float(network.graph_converter.atom_graph_cutoff),
        layers=int(network.n_conv),
        make_calculator=make,
        notes=("CHGNet, PBE and PBE+U of the Materials Project", "single precision"),
    )


def _sevennet(weights: str | None, device: str) -> UniversalPotential:
    from ase.data import chemical_symbols
    from sevenn.calculator import SevenNetCalculator

    def calculator(model: Any, **more: Any) -> Any:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="No tensor product accelerator")
            return SevenNetCalculator(model, device=device, **more)

    first = calculator(weights or "7net-0")

    def make() -> Any:
        return calculator(first.model, file_type="model_instance")

    return UniversalPotential(
        name="7net-0",
        elements=tuple(chemical_symbols[z] for z in sorted(first.type_map)),
        cutoff_A=float(first.cutoff),
        layers=int(first.sevennet_config["num_convolution_layer"]),
        make_calculator=make,
        notes=("SevenNet-0, PBE and PBE+U of the Materials Project", "single precision"),
    )
