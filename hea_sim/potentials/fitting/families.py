"""The families of potentials that can be fitted: made from settings, kept as plain arrays, built again from them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from hea_sim.errors import InputError, unknown_name
from hea_sim.potentials.contract import LinearModel, SitePotential, SumModel
from hea_sim.potentials.fitting.job import FitPotentialJob
from hea_sim.potentials.fitting.linear import EnergyVariance

#: Names of the arrays that hold the uncertainty beside those of the model.
_SPREAD, _CALIBRATION = "energy_spread", "energy_calibration"


def new_model(job: FitPotentialJob, elements: Sequence[str]) -> LinearModel:
    """Make an unfitted model of the job's family."""
    if job.family == "snap":
        return _new_snap(job, elements)
    from hea_sim.potentials.mtp import new_mtp

    settings = job.mtp
    return new_mtp(
        elements,
        settings.level,
        settings.cutoff_A,
        settings.radial_functions,
        seed=job.seed,
        least_distance_A=settings.least_distance_A,
    )


def _new_snap(job: FitPotentialJob, elements: Sequence[str]) -> LinearModel:
    from hea_sim.potentials.snap import SnapModel, features_of_element

    settings = job.snap
    for what, table in (("radii", settings.radii), ("weights", settings.weights)):
        for element in table:
            if element not in elements:
                raise unknown_name(f"element in snap.{what}", element, elements)
    radii = tuple(settings.radii.get(e, 0.5) for e in elements)
    return SnapModel(
        elements=tuple(elements),
        radii=radii,
        weights=tuple(settings.weights.get(e, 1.0) for e in elements),
        rcutfac=settings.cutoff_A / (2 * max(radii)),
        twojmax=settings.twojmax,
        coefficients=np.zeros((len(elements), features_of_element(settings.twojmax, settings.quadratic))),
        rfac0=settings.rfac0,
        rmin0=settings.rmin0,
        quadraticflag=settings.quadratic,
    )


def repulsion_of(ends_A: Sequence[float] | None, elements: Sequence[str]) -> Any:
    """Make the repulsion between nuclei that is taken off the labels and added again; None for none."""
    if ends_A is None:
        return None
    from hea_sim.potentials.zbl import ZBLModel

    return ZBLModel(elements=tuple(elements), inner_A=float(ends_A[0]), outer_A=float(ends_A[1]))


def model_arrays(model: LinearModel, variance: EnergyVariance | None) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Take a fitted model apart into arrays and settings of a card."""
    from hea_sim.potentials.mtp import MtpModel
    from hea_sim.potentials.snap import SnapModel

    arrays: dict[str, np.ndarray] = {}
    if isinstance(model, SnapModel):
        values = {name: getattr(model, name) for name in model.__dataclass_fields__}
        arrays = {name: np.array(values.pop(name)) for name in ("coefficients", "radii", "weights")}
        values.pop("elements")
        settings: dict[str, Any] = {"family": "snap", **values}
    elif isinstance(model, MtpModel):
        arrays = {name: np.asarray(getattr(model, name)) for name in ("radial", "species_eV", "linear_eV")}
        arrays |= {f"basis_{name}": np.asarray(getattr(model.basis, name)) for name in ("basic", "products", "scalars")}
        numbers = ("least_distance_A", "cutoff_A", "scaling")
        settings = {"family": "mtp", "n_moments": model.basis.n_moments, **{k: getattr(model, k) for k in numbers}}
    else:
        raise InputError(f"{type(model).__name__} belongs to no family that can be kept; wanted a SNAP or an MTP")
    if variance is not None:
        arrays[_SPREAD] = variance.spread
        arrays[_CALIBRATION] = np.array([variance.scale, variance.floor_eV])
    return arrays, settings


def build_potential(
    name: str,
    elements: Sequence[str],
    arrays: Mapping[str, np.ndarray],
    settings: Mapping[str, Any],
    notes: Sequence[str] = (),
) -> SitePotential:
    """Build a potential from the arrays and settings of its card."""
    builders: dict[str, Callable[..., Any]] = {"snap": _built_snap, "mtp": _built_mtp}
    family = str(settings.get("family"))
    if family not in builders:
        raise unknown_name("family of potentials", family, builders)
    try:
        model = builders[family](tuple(elements), arrays, settings)
    except KeyError as error:
        raise InputError(f"model {name}: {error} is missing among its arrays or settings; make it again") from error
    variance = None
    if _SPREAD in arrays:
        scale, floor = arrays[_CALIBRATION].tolist()
        variance = EnergyVariance(model=model, spread=arrays[_SPREAD], scale=scale, floor_eV=floor)
    core = repulsion_of(settings.get("repulsion_A"), elements)
    whole: Any = model if core is None else SumModel(parts=(model, core))
    return SitePotential(name=name, model=whole, variance=variance, notes=tuple(notes))


def _built_snap(elements: tuple[str, ...], arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> Any:
    from hea_sim.potentials.snap import SnapModel

    own = {k: v for k, v in settings.items() if k in SnapModel.__dataclass_fields__}
    return SnapModel(
        elements=elements,
        radii=tuple(arrays["radii"].tolist()),
        weights=tuple(arrays["weights"].tolist()),
        coefficients=arrays["coefficients"],
        **own,
    )


def _built_mtp(elements: tuple[str, ...], arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> Any:
    from hea_sim.potentials.mtp import MtpModel
    from hea_sim.potentials.mtp_basis import MomentBasis

    basis = MomentBasis(
        basic=arrays["basis_basic"],
        products=arrays["basis_products"],
        scalars=arrays["basis_scalars"],
        n_moments=int(settings["n_moments"]),
    )
    return MtpModel(
        elements=elements,
        basis=basis,
        radial=arrays["radial"],
        species_eV=arrays["species_eV"],
        linear_eV=arrays["linear_eV"],
        least_distance_A=float(settings["least_distance_A"]),
        cutoff_A=float(settings["cutoff_A"]),
        scaling=float(settings["scaling"]),
    )


def read_fitted(folder: str | os.PathLike[str]) -> SitePotential:
    """Load a fitted potential from its folder, after comparing its arrays with the SHA-256 of the card."""
    from hea_sim.registry.cards import read_arrays, read_card

    card = read_card(folder)
    if card.kind != "potential":
        raise InputError(f"{folder} holds a model of kind '{card.kind}'; wanted a potential")
    return build_potential(card.name, card.elements, read_arrays(folder), card.settings, card.notes)
