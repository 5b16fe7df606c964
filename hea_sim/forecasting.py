"""What simulation and rules expect of an alloy, in the form that a measurement can be held against.

An alloy with a shipped lattice model is simulated; one without gets its phase from the rules and its volume from the
elements, and says so. A lattice Monte Carlo cannot predict its own lattice: that phase is an input. With a potential,
small cells of the alloy are relaxed: the volume is then theirs, and elastic constants and the energy of mixing join.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.crystals import Crystal, atoms_per_cell
from hea_sim.elements import elemental_state
from hea_sim.errors import HEAError, InputError
from hea_sim.records import Estimate, Simulation

if TYPE_CHECKING:
    from hea_sim.diffraction.radiation import Radiation
    from hea_sim.lattice.pairs import PairModel
    from hea_sim.mechanics.alloy import AlloyMechanics
    from hea_sim.potentials.choice import ChosenPotential, PotentialRecord
    from hea_sim.properties.contract import AlloyPrediction, PropertyPredictor
    from hea_sim.properties.rules import CompositionOpinion
    from hea_sim.sampling.ordering import OrderingScan

#: Temperatures through which a cell is cooled before it is sampled, K.
ANNEALING_LADDER_K = (4000.0, 3000.0, 2000.0, 1400.0, 1000.0)
#: Long-range order parameter of the best-sorted species above which a cell is called ordered.
ORDERED_ABOVE = 0.3
#: Relative difference of the volume per atom between close-packed and bcc metals, taken as a std.
STRUCTURE_CHANGE_OF_VOLUME = 0.01
#: A model whose error on differences between arrangements exceeds this share of their spread predicts no order.
UNRELIABLE_ABOVE = 0.5
#: Probability that sets of phases hold the truth.
SET_LEVEL = 0.99
#: Arrangements that are relaxed with a potential.
RELAXED_CELLS = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class Forecast:
    """Hold what is expected of one alloy at the temperature of measurement.

    `phase_sets` are alternative assemblages of fundamental lattices at 99 %, from the `prediction` that known alloys
    allow, where this one lies among them, else from the rules; `volume_A3` per atom with
    the model's own std, for atoms on `volume_lattice` (empty: averaged over structures); `order_sets` what the
    simulated cell shows, both kinds where its model cannot tell, empty without a simulation; `ordering` where it would
    order on cooling. `several_unresolved` tells that the sets may hold several phases whose names are not known;
    `doubts` say why the phases cannot be trusted. Where a `potential` was
    used, `mechanics` holds what it makes of small relaxed cells, whose volume is then `volume_A3`, and
    `compared_volumes_A3` what was expected without it, by source.
    """

    alloy: str
    phase_sets: Sequence[Sequence[str]]
    phase_source: str
    volume_A3: Estimate | None
    volume_source: str
    volume_lattice: str
    opinion: CompositionOpinion
    simulation: Simulation | None = None
    order_sets: Sequence[Sequence[str]] = ()
    order_parameter: Estimate | None = None
    notes: Sequence[str] = field(default_factory=tuple)
    potential: PotentialRecord | None = None
    mechanics: AlloyMechanics | None = None
    compared_volumes_A3: Mapping[str, Estimate] = field(default_factory=dict)
    ordering: OrderingScan | None = None
    prediction: AlloyPrediction | None = None
    several_unresolved: bool = False
    doubts: Sequence[str] = ()

    @classmethod
    def of(cls, simulation: Simulation) -> Forecast:
        """Take a simulated cell for what is expected; phases come from the rules, as for any alloy."""
        from hea_sim.properties import first_opinion

        opinion = first_opinion(simulation.alloy)
        order = sublattice_order(simulation)
        return cls(
            alloy=simulation.alloy,
            **_phases_by_rules(opinion),
            volume_A3=_per_atom(simulation.lattice_A, simulation.lattice),
            volume_source=f"simulated cell, {simulation.model}",
            volume_lattice=simulation.lattice,
            opinion=opinion,
            simulation=simulation,
            order_sets=order_alternatives(simulation, order),
            order_parameter=order,
            notes=_notes(opinion),
        )

    def lattice_parameter(self, structure: str) -> Estimate | None:
        """Give the cubic lattice parameter in Angstrom that this volume would have in a structure ("A1", "A2").

        None where no volume is expected, as for an alloy with an element outside the table of metals.
        """
        if self.volume_A3 is None:
            return None
        scale = atoms_per_cell(structure) ** (1 / 3)
        value = scale * self.volume_A3.value ** (1 / 3)
        relative = (self.volume_A3.std or 0.0) / self.volume_A3.value
        if self.volume_lattice not in ("", structure):
            relative = float(np.hypot(relative, STRUCTURE_CHANGE_OF_VOLUME))
        std = value / 3 * relative
        return Estimate.normal(value, std, unit="A", method=f"{self.volume_source}, as {structure}")


def forecast(
    alloy: Composition | str,
    *,
    equilibration_temperature_K: float,
    measurement_temperature_K: float,
    size: int = 10,
    seed: int = 0,
    simulate: bool = True,
    potential: Any = None,
    potential_species: Sequence[str] | None = None,
) -> Forecast:
    """Expect phases, volume and order of an alloy; with a potential, its energy of mixing and elastic constants too.

    Parameters
    ----------
    equilibration_temperature_K
        Temperature at which the arrangement of the atoms was frozen in.
    measurement_temperature_K
        Temperature of the measured lattice parameter.
    size
        Conventional cells along each edge of the simulated cell.
    simulate
        False leaves the Monte Carlo out; the volume then is that of a random alloy, and no elastic constants are
        computed.
    potential
        None or "none": no potential. "recommended": the shipped one that is recommended for these elements, where one
        is. Else whatever `hea_sim.potentials.choice.choose_potential` takes: a name, a file, a potential.
    potential_species
        Elements in the order in which a published file numbers them.

    Raises
    ------
    InputError
        Where the potential that was asked for lacks an element of the alloy.
    """
    from hea_sim.lattice import model_for
    from hea_sim.potentials.choice import RECOMMENDED_ONE, choose_potential

    composition = Composition.parse(alloy)
    chosen = choose_potential(potential, composition, species=potential_species)
    model = model_for(composition)
    at_K = (equilibration_temperature_K, measurement_temperature_K)
    if model is not None and simulate:
        expected = Forecast.of(_simulate(composition, model, *at_K, size, seed))
        expected = _with_ordering(expected, composition, model, equilibration_temperature_K, seed)
    else:
        expected = _without_simulation(composition, model, measurement_temperature_K)
    if chosen is not None:
        return _relaxed(expected, composition, model if simulate else None, chosen, *at_K, seed, elastic=simulate)
    if isinstance(potential, str) and potential == RECOMMENDED_ONE:
        note = f"no potential is shipped for {composition.formula}: nothing is said of its elastic constants"
        expected = replace(expected, notes=(*expected.notes, note))
    return expected


def _phases_by_rules(opinion: CompositionOpinion) -> dict[str, Any]:
    return {
        "phase_sets": opinion.phase_sets,
        "phase_source": "hea-bench rules",
        "several_unresolved": opinion.multi_unresolved,
        "doubts": tuple(opinion.domain["reasons"]),
    }


def with_prediction(
    expected: Forecast, predictor: PropertyPredictor, *, processing: str, temperature_K: float
) -> Forecast:
    """Add what known alloys allow to predict; in their domain the phases are then theirs, at 99 %.

    `processing` is one of `hea_sim.properties.contract.PROCESSINGS`, `temperature_K` that of the properties.
    """
    from hea_sim.properties.rules import LATTICES

    ask = partial(predictor.predict, [expected.alloy], processing=processing, temperature_K=temperature_K)
    (shown,) = ask()
    if not shown.in_domain:
        return replace(expected, prediction=shown)
    (sure,) = ask(level=SET_LEVEL)
    names = sure.structure.prediction_set if sure.structure else ()
    return replace(
        expected,
        prediction=shown,
        phase_sets=[list(LATTICES[name]) for name in names],
        phase_source="known alloys",
        several_unresolved="multi" in names,
        doubts=(),
    )


def _without_simulation(composition: Composition, model: PairModel | None, measured_at_K: float) -> Forecast:
    """Expect what the rules say, and the volume of a random alloy."""
    from hea_sim.lattice import predict_lattice_parameter
    from hea_sim.properties import first_opinion

    opinion = first_opinion(composition)
    notes = list(_notes(opinion))
    if model is None:
        volume, source = _elemental_volume(composition, measured_at_K)
        if volume is None:
            notes.append(f"no volume is expected for {composition.formula}: {source}")
        notes.append(
            f"no lattice model is shipped for {composition.formula}: its phase comes from the rules, its volume from"
            " the elements (Vegard), its order from nowhere"
        )
    else:
        lattice_A = predict_lattice_parameter(model, composition, None, temperature_K=measured_at_K)
        volume = _per_atom(lattice_A, model.lattice)
        source = f"random alloy, {model.name}"
    return Forecast(
        alloy=composition.formula,
        **_phases_by_rules(opinion),
        volume_A3=volume,
        volume_source=source,
        volume_lattice=model.lattice if model else "",
        opinion=opinion,
        notes=notes,
    )


def _relaxed(
    expected: Forecast,
    composition: Composition,
    model: PairModel | None,
    chosen: ChosenPotential,
    equilibrated_at_K: float,
    measured_at_K: float,
    seed: int,
    *,
    elastic: bool,
) -> Forecast:
    """Relax small cells with a potential and take their volume; where that fails, say why and keep what there was.

    The cells are annealed where there is a lattice model, else random.
    """
    from hea_sim.mechanics.alloy import relaxed_alloy
    from hea_sim.sampling.arrangements import small_cells

    name = chosen.record.name
    try:
        structure = expected.volume_lattice or _cubic_lattice(composition, expected.phase_sets)
        cells = small_cells(
            composition,
            structure,
            n=RELAXED_CELLS if len(composition) > 1 else 1,
            seed=seed,
            model=model,
            temperatures_K=_ladder(equilibrated_at_K),
        )
        found = relaxed_alloy(
            cells,
            chosen.potential,
            structure=structure,
            elastic=elastic,
            energy_error_eV_per_atom=chosen.record.energy_error_eV_per_atom,
        )
        volume = _per_atom(found.lattice_parameter_at(measured_at_K), structure)
    except HEAError as error:
        note = f"potential {name} was not used for {composition.formula}: {error}"
        return replace(expected, potential=chosen.record, notes=(*expected.notes, note))
    before = {} if expected.volume_A3 is None else {expected.volume_source: expected.volume_A3}
    return replace(
        expected,
        volume_A3=volume,
        volume_source=f"{'random' if model is None else 'annealed'} cells relaxed with {name}",
        volume_lattice=structure,
        potential=chosen.record,
        mechanics=found,
        compared_volumes_A3=before,
        notes=(*expected.notes, *found.notes),
    )


def _cubic_lattice(composition: Composition, phase_sets: Sequence[Sequence[str]]) -> str:
    """Choose the lattice on which an alloy without a lattice model is relaxed: the one cubic phase that rules leave."""
    if len(composition) == 1:
        structures = {elemental_state(composition.elements[0]).structure}
    else:
        structures = {s[0] for s in phase_sets if len(s) == 1}
    cubic = sorted(structures & {"A1", "A2"})
    if len(cubic) != 1:
        left = " or ".join(sorted(structures)) or "no single phase"
        raise InputError(f"{composition.formula} may be {left}; wanted one of A1 and A2, for which cells are made")
    return cubic[0]


def _notes(opinion: CompositionOpinion) -> tuple[str, ...]:
    reasons = opinion.domain.get("reasons", [])
    outside = [f"outside the domain of the rules: {'; '.join(reasons)}"] if reasons else []
    return (*opinion.notes, *outside)


def _simulate(
    composition: Composition, model: PairModel, temperature_K: float, measured_at_K: float, size: int, seed: int
) -> Simulation:
    """Anneal down to the temperature at which the arrangement was frozen in."""
    from hea_sim.sampling import anneal

    return anneal(
        composition,
        model,
        size=(size, size, size),
        temperatures_K=_ladder(temperature_K),
        seed=seed,
        measured_at_K=measured_at_K,
    )


def _with_ordering(
    expected: Forecast, composition: Composition, model: PairModel, equilibrated_at_K: float, seed: int
) -> Forecast:
    """Look where the alloy orders on cooling, and say how that lies to the temperature at which it was frozen in."""
    from hea_sim.sampling.ordering import scan_ordering

    if len(composition) < 2:
        return expected
    found = scan_ordering(composition, model, seed=seed)
    notes = [ordering_note(found, one.temperature_K, equilibrated_at_K) for one in found.transitions]
    if not notes:
        low, high = found.temperatures_K[0], found.temperatures_K[-1]
        notes = [f"no ordering transition between {low:g} and {high:g} K by {found.model}"]
    return replace(expected, ordering=found, notes=(*expected.notes, *notes))


def ordering_note(found: OrderingScan, at_K: Estimate, equilibrated_at_K: float) -> str:
    """Say where a transition lies, and on which side of it the alloy was frozen in."""
    low, high = at_K.low or 0.0, at_K.high or np.inf
    side = "above" if equilibrated_at_K > high else "below" if equilibrated_at_K < low else "inside"
    return (
        f"{found.structure} order sets in at {at_K.value:.0f} K ({low:.0f} to {high:.0f} K with the error of"
        f" {found.model}); the arrangement was frozen in at {equilibrated_at_K:g} K, {side} that interval"
    )


def _ladder(temperature_K: float) -> list[float]:
    return [*(t for t in ANNEALING_LADDER_K if t > temperature_K), temperature_K]


def _elemental_volume(composition: Composition, temperature_K: float) -> tuple[Estimate | None, str]:
    """Take the volume of a random alloy from its elements, expanded from 298 K to the temperature of measurement.

    None, with the reason in place of the source, where an element has no volume as a metal (C, N, O, B ...).
    """
    from hea_sim.elements import thermal_expansion_per_K, vegard_volume_A3

    try:
        at_298_K = vegard_volume_A3(composition)
    except HEAError as error:
        return None, str(error)
    growth = 1 + 3 * thermal_expansion_per_K(composition) * (temperature_K - 298.0)
    volume = Estimate.normal(
        growth * at_298_K.value, growth * (at_298_K.std or 0.0), unit=at_298_K.unit, method=at_298_K.method
    )
    return volume, "elemental volumes"


def _per_atom(lattice_A: Estimate, structure: str) -> Estimate:
    value = lattice_A.value**3 / atoms_per_cell(structure)
    return Estimate.normal(
        value, 3 * value * (lattice_A.std or 0.0) / lattice_A.value, unit="A^3/atom", method=lattice_A.method
    )


def sublattice_order(simulation: Simulation) -> Estimate:
    """Compute how far the best-sorted species of a bcc cell keeps to one sublattice, 0 to 1; 0 for other lattices.

    The std is what the finite number of atoms of that species gives in a random cell.
    """
    method = "difference of sublattice occupancies over their sum, best-sorted species of the last sample"
    first, second = np.zeros(1), np.zeros(1)
    if simulation.lattice == "A2":
        first, second = simulation.trace["sublattice_occupancy"]
    total = np.asarray(first) + np.asarray(second)
    present = total > 0
    if not present.any():
        return Estimate(value=0.0, std=0.0, unit="1", method="no order is defined on this lattice")
    parameter = np.abs(np.asarray(first) - np.asarray(second))[present] / total[present]
    atoms = total[present] * len(simulation.atoms) / 2
    best = int(np.argmax(parameter * np.sqrt(atoms)))
    return Estimate(value=float(parameter[best]), std=float(1 / np.sqrt(atoms[best])), unit="1", method=method)


def order_alternatives(simulation: Simulation, order: Estimate) -> list[list[str]]:
    """List what the simulated cell may be: ordered, not, or both where its model cannot tell arrangements apart."""
    if simulation.lattice != "A2":
        return [[simulation.lattice]]
    from hea_sim.sampling.job_models import arrangement_error

    error = arrangement_error(simulation.card)
    if error is None or error >= UNRELIABLE_ABOVE:
        return [["A2"], ["B2"]]
    ordered = order.value > max(ORDERED_ABOVE, 4 * (order.std or 0.0))
    return [["B2"]] if ordered else [["A2"]]


def superlattice_percent(
    simulation: Simulation, radiation: Radiation, *, sublattices: np.ndarray | None = None
) -> float:
    """Compute the B2 (100) line of a simulated bcc cell, in per cent of its (110) line.

    `sublattices` (2, species) replaces the cell's own occupancies, to ask what another order would show.
    """
    from hea_sim.diffraction.powder import powder_lines

    occupancy = np.asarray(simulation.trace["sublattice_occupancy"] if sublattices is None else sublattices)
    crystal = Crystal(
        name="B2",
        cell_A=np.eye(3) * simulation.lattice_A.value,
        positions=np.array([[0, 0, 0], [0.5, 0.5, 0.5]]),
        species=tuple(simulation.species),
        occupancy=occupancy,
    )
    lines = powder_lines(crystal, radiation, two_theta_range_deg=(5, 175))
    norm = np.sum(lines.hkl**2, axis=1)
    weak = float(lines.intensity[norm == 1].sum())
    return 100 * weak / float(lines.intensity[norm == 2].sum())
