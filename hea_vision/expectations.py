"""What a loop expects of its alloy, what it learns from the evidence, and what it suggests next."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hea_sim.alloy import Composition
from hea_sim.errors import HEAError
from hea_sim.forecasting import forecast, with_prediction
from hea_sim.potentials.choice import ChosenPotential, choose_potential
from hea_sim.properties.contract import processing_kind
from hea_sim.properties.design.target import DesignTarget
from hea_sim.registry.cards import CARD_FILE
from hea_vision.campaign import Campaign
from hea_vision.property_claims import alloys_to_learn

if TYPE_CHECKING:
    from hea_vision.loop import LoopResult


def campaign_potential(campaign: Campaign, folder: Path) -> ChosenPotential | None:
    """Choose the campaign's potential; a model folder or a file may lie in its folder.

    Raises
    ------
    InputError, MissingFileError
        Where there is no such potential, or it lacks an element of the alloy.
    """
    name = campaign.potential
    place = folder / name
    inside = place.is_file() or (place / CARD_FILE).is_file()
    alloy = Composition.parse(campaign.alloy)
    return choose_potential(str(place) if inside else name, alloy, species=campaign.potential_species or None)


def predict(result: LoopResult) -> None:
    """Forecast the campaign's alloy by simulation, its controls without, and all from known alloys.

    Controls whose elements the potential knows are relaxed with it too, as random cells.
    """
    from hea_sim.properties.predictor import load_predictor
    from hea_sim.properties.second_opinions import second_opinions

    campaign, chosen = result.campaign, result.potential
    expect = partial(
        forecast,
        equilibration_temperature_K=campaign.equilibration_temperature_K,
        measurement_temperature_K=campaign.measurement_temperature_K,
    )
    # Where none is shipped for the alloy, the forecast says so.
    potential = campaign.potential if chosen is None else chosen
    result.expected = expect(campaign.alloy, size=campaign.cell_size, seed=campaign.seed, potential=potential)
    known = set(chosen.record.elements) if chosen else set()
    result.alternatives = [
        expect(
            alloy,
            simulate=False,
            seed=campaign.seed,
            potential=chosen if set(Composition.parse(alloy)) <= known else None,
        )
        for alloy in campaign.controls
    ]
    # Reports of this very alloy would foretell what is measured here.
    result.predictor = load_predictor(exclude=[campaign.alloy])
    told = partial(
        with_prediction,
        predictor=result.predictor,
        processing=processing_kind(campaign.processing),
        temperature_K=campaign.measurement_temperature_K,
    )
    result.expected = told(result.expected)
    result.alternatives = [told(other) for other in result.alternatives]
    result.opinions = second_opinions(
        campaign.alloy,
        predictor=result.predictor,
        tdb=_database(result),
        potential=chosen,
        temperature_K=campaign.equilibration_temperature_K,
        test_temperature_K=campaign.measurement_temperature_K,
        processing=processing_kind(campaign.processing),
        grain_size_um=campaign.grain_size_um,
    )


def _database(result: LoopResult) -> Path | None:
    """Give the campaign's TDB; one that is not there is a failure, like any other input."""
    name = result.campaign.thermodynamics
    if name is None:
        return None
    if not (result.folder / name).is_file():
        error = f"{result.folder / name}: no such file; wanted a thermodynamic database (TDB)"
        result.failures.append({"input": name, "error": error})
        return None
    return result.folder / name


def learn(result: LoopResult) -> None:
    """Take what was measured into the models of known alloys; synthetic evidence teaches nothing."""
    from hea_sim.properties.design.suggestion import with_evidence

    campaign, predictor = result.campaign, result.predictor
    if predictor is None or campaign.synthetic:
        return
    making = processing_kind(campaign.processing)
    alloy = Composition.parse(campaign.alloy)
    result.learnt = alloys_to_learn(result.claims, campaign.measured, alloy, processing=making)
    if result.learnt:
        result.predictor = with_evidence(predictor, result.learnt)
        (result.relearnt,) = result.predictor.predict(
            [alloy], processing=making, temperature_K=campaign.measurement_temperature_K
        )


def campaign_target(campaign: Campaign, target: DesignTarget) -> DesignTarget:
    """Give the target with the making and the temperature of the campaign, where it names none of its own."""
    own = {"processing": processing_kind(campaign.processing), "temperature_K": campaign.measurement_temperature_K}
    return target.model_copy(update={key: v for key, v in own.items() if key not in target.model_fields_set})


def propose(result: LoopResult) -> None:
    """Suggest alloys for the campaign's target; without one, the neighbours whose structure is least certain."""
    from hea_sim.properties.design.neighbours import suggest_neighbours
    from hea_sim.properties.design.suggestion import suggest

    campaign = result.campaign
    if result.predictor is None:
        return
    ask: dict[str, Any] = {"predictor": result.predictor, "n": campaign.suggestions, "seed": campaign.seed}
    try:
        if campaign.target is not None:
            result.suggestions = suggest(campaign_target(campaign, campaign.target), tried=[campaign.alloy], **ask)
        else:
            result.suggestions = suggest_neighbours(
                campaign.alloy,
                processing=processing_kind(campaign.processing),
                temperature_K=campaign.measurement_temperature_K,
                **ask,
            )
    except HEAError as error:
        result.unchecked.append(f"next composition: {error}")
