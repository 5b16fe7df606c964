"""The closed loop on one folder: label the evidence, simulate the alloy, cross-check, suggest what to make next."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hea_sim.alloy import Composition
from hea_sim.documents import document, sha256_of, versions, write_atomic, write_json
from hea_sim.errors import InputError, MissingFileError, one_line_error
from hea_sim.properties.contract import processing_kind
from hea_sim.records import Estimate, Evidence, Micrograph, Pattern, PatternCall, Provenance, Segmentation
from hea_sim.registry.cards import CARD_FILE
from hea_sim.settings import check_settings, settings_text
from hea_vision.batch import make_folder
from hea_vision.campaign import (
    Campaign,
    EdsEntry,
    MicrographEntry,
    PatternEntry,
    StructureEntry,
    read_campaign,
)
from hea_vision.claims import (
    crosscheck,
    crosscheck_composition,
    crosscheck_pattern,
    crosscheck_structure,
    fundamental_sets,
    wrong_phase_control,
)
from hea_vision.expectations import campaign_potential, learn, predict, propose
from hea_vision.property_claims import crosscheck_properties
from hea_vision.unchecked import list_unchecked

if TYPE_CHECKING:
    from hea_sim.forecasting import Forecast
    from hea_sim.potentials.choice import ChosenPotential
    from hea_sim.properties.contract import AlloyPrediction, MeasuredAlloy, PropertyPredictor
    from hea_sim.properties.design.candidates import Candidate
    from hea_sim.properties.second_opinions import AgreementTable
    from hea_vision.measurement.measure_labels import Measurements
    from hea_vision.measurement.segregation import Segregation

Say = Callable[[str], None]
Entry = TypeVar("Entry", PatternEntry, MicrographEntry, EdsEntry)


@dataclass(kw_only=True)
class LoopResult:
    """Gather what one turn of the loop found.

    `predictor` knows the open tables without this alloy, `learnt` is what this campaign adds to them, `relearnt` the
    prediction of the alloy with it. `failures` are (file, one line) of inputs that could not be used.
    """

    campaign: Campaign
    folder: Path
    out: Path | None = None
    patterns: dict[str, Pattern] = field(default_factory=dict)
    calls: dict[str, PatternCall] = field(default_factory=dict)
    images: dict[str, tuple[Micrograph, Segmentation]] = field(default_factory=dict)
    measurements: dict[str, Measurements] = field(default_factory=dict)
    compositions: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    segregation: dict[str, Segregation] = field(default_factory=dict)
    structures: dict[str, Estimate] = field(default_factory=dict)
    potential: ChosenPotential | None = None
    expected: Forecast | None = None
    alternatives: list[Forecast] = field(default_factory=list)
    claims: list[Evidence] = field(default_factory=list)
    controls: list[Evidence] = field(default_factory=list)
    predictor: PropertyPredictor | None = None
    learnt: list[MeasuredAlloy] = field(default_factory=list)
    relearnt: AlloyPrediction | None = None
    opinions: AgreementTable | None = None
    suggestions: list[Candidate] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)
    provenance: Provenance = field(default_factory=Provenance)


def run_loop(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    config: str | os.PathLike[str] | None = None,
    seed: int | None = None,
    potential: str | None = None,
    potential_species: Sequence[str] | None = None,
    say: Say = lambda _: None,
) -> LoopResult:
    """Run the loop on a folder and, where `out` is given, write report.html, results.json and run.toml there.

    Parameters
    ----------
    folder
        Holds the evidence and `campaign.toml`.
    config
        Another campaign file; its paths stay relative to the folder.
    seed
        Replaces the campaign's seed.
    potential, potential_species
        Replace the campaign's potential, and the order in which its file numbers the elements.
    say
        Called with a line as each station begins.

    Raises
    ------
    InputError, MissingFileError
        Where the campaign itself is not usable; single bad files become failures of the result.
    """
    campaign = read_campaign(folder, config)
    given = {"seed": seed, "potential": potential, "potential_species": potential_species}
    if flags := {key: value for key, value in given.items() if value is not None}:
        campaign = check_settings(Campaign, campaign.model_dump() | flags, "hea loop")
    result = LoopResult(campaign=campaign, folder=Path(folder), out=None if out is None else Path(out))
    result.potential = campaign_potential(campaign, result.folder)  # a wrong name is said before the work begins
    if out is not None:
        make_folder(out)
    observe(result, say)
    with_potential = f", relax cells with {result.potential.record.name}" if result.potential else ""
    say(f"simulate {campaign.alloy} and {len(campaign.controls)} controls{with_potential}")
    predict(result)
    say("cross-check")
    compare(result)
    say("learn, and suggest what to make next")
    learn(result)
    propose(result)
    result.provenance = _provenance(result)
    if out is not None:
        say("write the report")
        write_loop(result, out)
    return result


def observe(result: LoopResult, say: Say = lambda _: None) -> None:
    """Label every pattern and micrograph, read every table and cell; a bad file becomes a failure."""
    from hea_vision.eds_evidence import measure_eds
    from hea_vision.io import mean_composition, read_composition_table, read_micrograph, read_pattern
    from hea_vision.measurement import measure
    from hea_vision.segmentation import segment
    from hea_vision.xrd import classify_pattern

    campaign = result.campaign
    alloy = Composition.parse(campaign.alloy)
    for key, pattern in _keyed(campaign.pattern):
        say(f"label {key}")
        with _collect(result, pattern.file) as path:
            scan = read_pattern(
                path,
                scan=pattern.scan,
                radiation=pattern.radiation,
                wavelength_A=pattern.wavelength_A,
                axis=pattern.axis,
                calibration=None if pattern.calibration is None else result.folder / pattern.calibration,
            )
            scan = replace(scan, source=key)
            # The label tests whether this is the alloy, so the alloy's volume must not help to find it.
            result.patterns[key] = scan
            result.calls[key] = classify_pattern(
                scan, elements=alloy, volumes_from_elements=False, model=campaign.pattern_labeller
            )
    for key, image in _keyed(campaign.micrograph):
        say(f"label {key}")
        with _collect(result, image.file) as path:
            micrograph = read_micrograph(path, pixel_size_nm=image.pixel_size_nm, crop=image.crop_px)
            micrograph = replace(micrograph, source=key)
            labels = segment(micrograph, _segmenter(result, image))
            result.images[key] = (micrograph, labels)
            result.measurements[key] = measure(labels)
    for table in campaign.composition:
        with _collect(result, table.file) as path:
            result.compositions[table.file] = mean_composition(read_composition_table(path, unit=table.unit))
    for key, eds in _keyed(campaign.eds):
        say(f"measure {key}")
        with _collect(result, eds.file):
            result.segregation[key] = measure_eds(eds, result.folder, alloy)
    for cell in campaign.structure:
        with _collect(result, cell.file) as path:
            result.structures[cell.file] = _cell_volume(path, cell)


def _segmenter(result: LoopResult, image: MicrographEntry) -> str:
    """Give the segmenter of a micrograph: a name, or a model's folder, which may lie in the campaign's."""
    name = image.segmenter or result.campaign.segmenter
    inside = result.folder / name
    return str(inside) if (inside / CARD_FILE).is_file() else name


def _keyed(entries: Sequence[Entry]) -> Iterator[tuple[str, Entry]]:
    """Name each entry by its file; a file that is named again, with another crop say, gets a number."""
    seen: Counter[str] = Counter()
    for entry in entries:
        seen[entry.file] += 1
        yield (entry.file if seen[entry.file] == 1 else f"{entry.file} #{seen[entry.file]}"), entry


class _collect:
    """Give the path of an input and turn its errors into a failure of the result."""

    def __init__(self, result: LoopResult, name: str) -> None:
        self.result, self.name = result, name

    def __enter__(self) -> Path:
        return self.result.folder / self.name

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if error is None:
            return True
        if not isinstance(error, Exception):
            return False  # an interrupt stops the loop
        self.result.failures.append({"input": self.name, "error": one_line_error(error)})
        return True


def _cell_volume(path: Path, entry: StructureEntry) -> Estimate:
    """Read a calculated cell's volume per atom; the error of its lattice parameter counts three times."""
    from ase.io import read

    if not path.is_file():
        raise MissingFileError(f"{path}: no such file")
    try:
        atoms = read(path, format="vasp" if "CAR" in path.name.upper() else None)
    except Exception as error:  # readers of many formats raise many kinds
        raise InputError(f"{path}: cannot be read as a structure ({error})") from error
    if isinstance(atoms, list):
        atoms = atoms[-1]
    volume = atoms.get_volume() / len(atoms)
    return Estimate.normal(
        volume,
        volume * 3 * entry.relative_std_percent / 100,
        unit="A^3/atom",
        n=len(atoms),
        method=f"{entry.method}, {len(atoms)} atoms",
    )


def compare(result: LoopResult) -> None:
    """Hold every label against the forecast, then the same labels against the controls."""
    expected, campaign = result.expected, result.campaign
    if expected is None:
        raise InputError("compare needs a forecast; call predict first")
    calls = list(result.calls.values())
    labels: list[PatternCall | Segmentation] = [*calls, *(segmentation for _, segmentation in result.images.values())]
    result.claims = crosscheck(labels, expected, alternatives=result.alternatives, synthetic=campaign.synthetic)
    for call in calls:
        for entry in campaign.structure:
            if entry.file in result.structures:
                result.claims += crosscheck_structure(
                    result.structures[entry.file],
                    call,
                    alloy=expected.alloy,
                    source=f"{entry.method} ({entry.file})",
                    alternatives=result.alternatives,
                    synthetic=campaign.synthetic,
                )
    nominal = dict(Composition.parse(campaign.alloy))
    for source, means in (result.compositions | _contents_by_eds(result)).items():
        result.claims += crosscheck_composition(
            means,
            nominal,
            alloy=expected.alloy,
            source=source,
            alternatives={alloy: dict(Composition.parse(alloy)) for alloy in campaign.controls},
            synthetic=campaign.synthetic,
        )
    if result.predictor is not None:
        result.claims += crosscheck_properties(
            campaign.measured,
            expected.alloy,
            result.predictor,
            processing=processing_kind(campaign.processing),
            alternatives=campaign.controls,
            synthetic=campaign.synthetic,
        )
    result.controls = _controls(result, expected)
    result.unchecked = list_unchecked(result)


def _contents_by_eds(result: LoopResult) -> dict[str, dict[str, Estimate]]:
    """Give the mean contents of quantified EDS measurements whose tables are not compared already."""
    known = {Path(name) for name in result.compositions}
    return {
        key: dict(found.mean)
        for (key, entry) in _keyed(result.campaign.eds)
        if (found := result.segregation.get(key)) is not None
        and found.quantified
        and not known & {Path(file) for file in entry.files}
    }


def _controls(result: LoopResult, expected: Forecast) -> list[Evidence]:
    """Ask whether the evidence could tell a wrong composition and a wrong phase from the right ones."""
    from hea_vision.xrd import classify_pattern

    out = []
    for key, call in result.calls.items():
        call = replace(call, synthetic=False)  # what a wrong hypothesis expects, the forward model did not make
        for other in result.alternatives:
            out += crosscheck_pattern(call, other, alternatives=[expected])
        if call.in_scope:
            found = {name for s in fundamental_sets(call) for name in s}
            wrong = next(name for name in ("A1", "A2", "A3") if name not in found)
            forced = classify_pattern(
                result.patterns[key],
                structures=[wrong],
                volumes_from_elements=False,
                model=result.campaign.pattern_labeller,
            )
            out.append(wrong_phase_control(call, forced, alloy=expected.alloy, wrong=wrong))
    return [c for c in out if c.kind in ("phase", "lattice")]


def _provenance(result: LoopResult) -> Provenance:
    inputs = {}
    for name in result.campaign.files:
        path = result.folder / name
        if path.is_file():
            inputs[name] = sha256_of(path)
    models: dict[str, str] = {}
    for _, labels in result.images.values():
        if sha := labels.metadata.get("settings", {}).get("model_sha256"):
            models[labels.model] = str(sha)
    for item in (result.expected, *result.alternatives):
        if item is not None and item.simulation is not None and item.simulation.card:
            models[item.simulation.model] = str(item.simulation.card.get("arrays_sha256", ""))
    if result.potential is not None:
        models |= result.potential.record.sha256
    return Provenance(
        input_sha256=inputs,
        model_sha256=models,
        seed=result.campaign.seed,
        versions=versions(),
        settings=result.campaign.model_dump(exclude_none=True),
    )


def loop_document(result: LoopResult) -> dict[str, Any]:
    """Build the JSON document of a loop: the common frame, then claims, controls, simulation, suggestions."""
    labels: list[Mapping[str, Any]] = [
        {"input": name, "kind": "pattern", "label": call} for name, call in result.calls.items()
    ]
    labels += [
        {
            "input": n,
            "kind": "micrograph",
            "label": _plain_label(s),
            "measurements": result.measurements[n].estimates if n in result.measurements else {},
        }
        for n, (_, s) in result.images.items()
    ]
    labels += [{"input": n, "kind": "composition", "label": m} for n, m in result.compositions.items()]
    labels += [{"input": n, "kind": "segregation", "label": s} for n, s in result.segregation.items()]
    labels += [{"input": n, "kind": "structure", "label": e} for n, e in result.structures.items()]
    return document(
        labels,
        result.failures,
        result.provenance,
        claims=result.claims,
        controls=result.controls,
        forecast=result.expected,
        learnt=result.learnt,
        relearnt=result.relearnt,
        second_opinions=result.opinions,
        suggestions=result.suggestions,
        unchecked=result.unchecked,
    )


def _plain_label(labels: Segmentation) -> Segmentation:
    """Leave out what is a picture of its own; results.json holds numbers."""
    return replace(labels, probabilities=None, uncertainty=None, instances=None)


def write_loop(result: LoopResult, out: str | os.PathLike[str]) -> Path:
    """Write report.html, results.json, failures.csv and run.toml to a folder; return the report's path."""
    from hea_sim.documents import write_csv
    from hea_vision.report import render_loop

    out = Path(out)
    write_json(out / "results.json", loop_document(result))
    write_csv(out / "failures.csv", result.failures, ("input", "error"))
    write_atomic(out / "run.toml", settings_text(result.campaign))
    return write_atomic(out / "report.html", render_loop(result))
