"""The closed loop on one folder: label the evidence, simulate the alloy, cross-check, suggest what to make next."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.documents import document, sha256_of, versions, write_atomic, write_json
from hea_sim.errors import HEAError, InputError, MissingFileError
from hea_sim.forecasting import Forecast, forecast
from hea_sim.records import Estimate, Evidence, Micrograph, PatternCall, Provenance, Segmentation
from hea_vision.campaign import Campaign, read_campaign
from hea_vision.claims import (
    crosscheck,
    crosscheck_composition,
    crosscheck_pattern,
    crosscheck_structure,
    wrong_phase_control,
)

if TYPE_CHECKING:
    from hea_sim.properties.suggest import Suggestion

Say = Callable[[str], None]


@dataclass(kw_only=True)
class LoopResult:
    """Gather what one turn of the loop found; `failures` are (file, one line) of inputs that could not be used."""

    campaign: Campaign
    folder: Path
    calls: dict[str, PatternCall] = field(default_factory=dict)
    images: dict[str, tuple[Micrograph, Segmentation]] = field(default_factory=dict)
    compositions: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    structures: dict[str, Estimate] = field(default_factory=dict)
    expected: Forecast | None = None
    alternatives: list[Forecast] = field(default_factory=list)
    claims: list[Evidence] = field(default_factory=list)
    controls: list[Evidence] = field(default_factory=list)
    suggestions: list[Suggestion] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)
    provenance: Provenance = field(default_factory=Provenance)


def run_loop(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    config: str | os.PathLike[str] | None = None,
    seed: int | None = None,
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
    say
        Called with a line as each station begins.

    Raises
    ------
    InputError, MissingFileError
        Where the campaign itself is not usable; single bad files become failures of the result.
    """
    campaign = read_campaign(folder, config)
    if seed is not None:
        campaign = campaign.model_copy(update={"seed": seed})
    result = LoopResult(campaign=campaign, folder=Path(folder))
    if out is not None:
        Path(out).mkdir(parents=True, exist_ok=True)
    observe(result, say)
    say(f"simulate {campaign.alloy} and {len(campaign.controls)} controls")
    predict(result)
    say("cross-check")
    compare(result)
    propose(result)
    result.provenance = _provenance(result)
    if out is not None:
        say("write the report")
        write_loop(result, out)
    return result


def observe(result: LoopResult, say: Say = lambda _: None) -> None:
    """Label every pattern and micrograph, read every table and cell; a bad file becomes a failure."""
    from hea_vision.io import mean_composition, read_composition_table, read_micrograph, read_pattern
    from hea_vision.segmentation import segment
    from hea_vision.xrd import classify_pattern

    campaign = result.campaign
    alloy = Composition.parse(campaign.alloy)
    for pattern in campaign.pattern:
        say(f"label {pattern.file}")
        with _collect(result, pattern.file) as path:
            scan = read_pattern(path, radiation=pattern.radiation, wavelength_A=pattern.wavelength_A)
            scan = replace(scan, source=pattern.file)
            result.calls[pattern.file] = classify_pattern(scan, elements=alloy, model=campaign.pattern_labeller)
    for image in campaign.micrograph:
        say(f"label {image.file}")
        with _collect(result, image.file) as path:
            micrograph = read_micrograph(path, pixel_size_nm=image.pixel_size_nm, crop=image.crop_px)
            micrograph = replace(micrograph, source=image.file)
            result.images[image.file] = (micrograph, segment(micrograph, campaign.segmenter))
    for table in campaign.composition:
        with _collect(result, table.file) as path:
            result.compositions[table.file] = mean_composition(read_composition_table(path, unit=table.unit))
    for cell in campaign.structure:
        with _collect(result, cell.file) as path:
            result.structures[cell.file] = _cell_lattice(path, cell.method, cell.relative_std_percent)


class _collect:
    """Give the path of an input and turn its errors into a failure of the result."""

    def __init__(self, result: LoopResult, name: str) -> None:
        self.result, self.name = result, name

    def __enter__(self) -> Path:
        return self.result.folder / self.name

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if error is None:
            return True
        if not isinstance(error, (HEAError, OSError)):
            return False
        self.result.failures.append({"input": self.name, "error": " ".join(str(error).split())})
        return True


def _cell_lattice(path: Path, method: str, relative_std_percent: float) -> Estimate:
    """Read a calculated cell and express its volume per atom as a bcc lattice parameter."""
    from ase.io import read

    if not path.is_file():
        raise MissingFileError(f"{path}: no such file")
    try:
        atoms = read(path, format="vasp" if "CAR" in path.name.upper() else None)
    except Exception as error:  # readers of many formats raise many kinds
        raise InputError(f"{path}: cannot be read as a structure ({error})") from error
    if isinstance(atoms, list):
        atoms = atoms[-1]
    a = (2 * atoms.get_volume() / len(atoms)) ** (1 / 3)
    return Estimate.normal(
        a,
        a * relative_std_percent / 100,
        unit="A",
        n=len(atoms),
        method=f"{method}, volume of {len(atoms)} atoms as A2",
    )


def predict(result: LoopResult) -> None:
    """Forecast the campaign's alloy by simulation, and its controls without."""
    campaign = result.campaign
    expect = partial(
        forecast,
        equilibration_temperature_K=campaign.equilibration_temperature_K,
        measurement_temperature_K=campaign.measurement_temperature_K,
    )
    result.expected = expect(campaign.alloy, size=campaign.cell_size, seed=campaign.seed)
    result.alternatives = [expect(alloy, simulate=False) for alloy in campaign.controls]


def compare(result: LoopResult) -> None:
    """Hold every label against the forecast, then the same labels against the controls."""
    expected, campaign = result.expected, result.campaign
    if expected is None:
        raise InputError("compare needs a forecast; call predict first")
    calls = list(result.calls.values())
    labels = [*calls, *(segmentation for _, segmentation in result.images.values())]
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
                )
    nominal = dict(Composition.parse(campaign.alloy))
    for source, means in result.compositions.items():
        result.claims += crosscheck_composition(
            means, nominal, alloy=expected.alloy, source=source, synthetic=campaign.synthetic
        )
    result.controls = _controls(calls, expected, result.alternatives)
    result.unchecked = _unchecked(result)


def _controls(calls: Sequence[PatternCall], expected: Forecast, others: Sequence[Forecast]) -> list[Evidence]:
    """Ask whether the evidence could tell a wrong composition and a wrong phase from the right ones."""
    out = []
    for call in calls:
        for other in others:
            out += crosscheck_pattern(call, other, alternatives=[expected])
        out += wrong_phase_control(call, expected)
    return [c for c in out if c.kind in ("phase", "lattice")]


def _unchecked(result: LoopResult) -> list[str]:
    """Say what could not be checked, and why."""
    campaign, expected = result.campaign, result.expected
    out = []
    if not campaign.pattern:
        out.append("phase, lattice parameter and order: the campaign has no diffraction pattern")
    if not campaign.micrograph:
        out.append("second phases and pores: the campaign has no micrograph")
    if not campaign.composition:
        out.append("composition: the campaign has no measured composition; the nominal one is taken")
    if not campaign.controls:
        out.append("controls: the campaign names no other alloys, so no claim can be told apart from an alternative")
    if expected is not None:
        out += [note for note in expected.notes if "no lattice model" in note]
    for name, (micrograph, _) in result.images.items():
        if micrograph.pixel_size_nm is None:
            out.append(f"sizes in {name}: neither the file nor the campaign gives a pixel size")
    named = {Path(f) for f in campaign.files}
    extra = sorted(p.relative_to(result.folder) for p in result.folder.rglob("*") if p.is_file())
    unused = [str(p) for p in extra if p not in named and p.name != "campaign.toml" and not p.name.startswith(".")]
    if unused:
        out.append(
            f"{len(unused)} files that the campaign does not name: {', '.join(unused[:8])}"
            + (" ..." if unused[8:] else "")
        )
    return out


def propose(result: LoopResult) -> None:
    """Suggest neighbours of the alloy whose rule verdict is least certain."""
    from hea_sim.properties import suggest_next

    composition = Composition.parse(result.campaign.alloy)
    try:
        result.suggestions = suggest_next(composition, n=result.campaign.suggestions)
    except HEAError as error:
        result.unchecked.append(f"next composition: {error}")


def _provenance(result: LoopResult) -> Provenance:
    inputs = {}
    for name in result.campaign.files:
        path = result.folder / name
        if path.is_file():
            inputs[name] = sha256_of(path)
    models: dict[str, str] = {}
    for item in (result.expected, *result.alternatives):
        if item is not None and item.simulation is not None and item.simulation.card:
            models[item.simulation.model] = str(item.simulation.card.get("arrays_sha256", ""))
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
    labels += [{"input": n, "kind": "micrograph", "label": s} for n, (_, s) in result.images.items()]
    labels += [{"input": n, "kind": "composition", "label": m} for n, m in result.compositions.items()]
    labels += [{"input": n, "kind": "structure", "label": e} for n, e in result.structures.items()]
    return document(
        labels,
        result.failures,
        result.provenance,
        claims=result.claims,
        controls=result.controls,
        forecast=result.expected,
        suggestions=result.suggestions,
        unchecked=result.unchecked,
    )


def write_loop(result: LoopResult, out: str | os.PathLike[str]) -> Path:
    """Write report.html, results.json, failures.csv and run.toml to a folder; return the report's path."""
    import tomli_w

    from hea_sim.documents import write_csv
    from hea_vision.report import render_loop

    out = Path(out)
    write_json(out / "results.json", loop_document(result))
    write_csv(out / "failures.csv", result.failures, ("input", "error"))
    write_atomic(out / "run.toml", tomli_w.dumps(_plain(result.campaign.model_dump(exclude_none=True))))
    return write_atomic(out / "report.html", render_loop(result))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value.item() if isinstance(value, np.generic) else value
