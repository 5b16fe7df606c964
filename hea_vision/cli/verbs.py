"""What each verb does: read settings, run, write, print. Each returns the exit code."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hea_sim.documents import document, to_jsonable, versions, write_atomic, write_csv, write_json
from hea_sim.errors import HEAError, InputError, MissingFileError, one_line_error
from hea_sim.records import PatternCall, Provenance


def _print_json(data: Any) -> None:
    sys.stdout.write(json_module.dumps(to_jsonable(data), indent=1, ensure_ascii=False) + "\n")


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _report_failures(failures: Sequence[Mapping[str, str]]) -> int:
    """Print one line for each failed input; return the exit code."""
    for failure in failures:
        name, error = failure["input"], failure["error"]
        _say(f"hea: {error if name in error else f'{name}: {error}'}")
    return 1 if failures else 0


def loop(folder: Path, out: Path, config: Path | None, seed: int | None, json: bool) -> int:
    """Run the loop on a folder."""
    from hea_vision.loop import loop_document, run_loop
    from hea_vision.report.text import measured_text, predicted_text

    result = run_loop(folder, out, config=config, seed=seed, say=(lambda _: None) if json else _say)
    if json:
        _print_json(loop_document(result))
    else:
        rows = [(c.claim, measured_text(c), predicted_text(c), c.verdict) for c in result.claims]
        _table(f"{result.campaign.name}: {result.campaign.alloy}", ("claim", "measured", "expected", "verdict"), rows)
        if result.suggestions:
            print(f"next: {result.suggestions[0].formula}: {result.suggestions[0].reason}")
        print(f"report: {out / 'report.html'}")
    return _report_failures(result.failures)


def classify(
    inputs: Sequence[Path], out: Path | None, config: Path | None, flags: Mapping[str, Any], json: bool
) -> int:
    """Label patterns."""
    from hea_vision.batch import run_batch, write_batch
    from hea_vision.io import PATTERN_SUFFIXES, find_inputs, read_pattern
    from hea_vision.jobs import ClassifyJob, read_job
    from hea_vision.report.batch import render_patterns
    from hea_vision.xrd import PATTERN_LABELLERS, classify_pattern

    job = read_job(ClassifyJob, config, flags)
    if job.model not in PATTERN_LABELLERS:
        from hea_sim.errors import unknown_name

        raise unknown_name("pattern labeller", job.model, PATTERN_LABELLERS)
    paths = _not_results(find_inputs(inputs, PATTERN_SUFFIXES), out)
    calls: dict[str, PatternCall] = {}

    def work(path: Path) -> Mapping[str, Any]:
        pattern = read_pattern(path, radiation=job.radiation, wavelength_A=job.wavelength_A)
        call = classify_pattern(pattern, elements=job.elements, structures=job.structures, model=job.model)
        calls[path.as_posix()] = call
        return {**to_jsonable(call), "input": path.as_posix()}

    settings = {"verb": "classify", **job.model_dump()}
    result = run_batch(
        paths, work, settings=settings, out=out, progress=lambda p: None if json else _say(f"classify {p}")
    )
    rows = [_classify_row(row) for row in result.results]
    if out is not None:
        write_batch(result, out, table=rows, columns=tuple(_CLASSIFY_COLUMNS))
        write_atomic(out / "report.html", render_patterns(result, calls))
    if json:
        _print_json(result.document())
    else:
        shown = [tuple(str(row[c]) for c in ("input", "in_scope", "phases", "a_A", "unexplained")) for row in rows]
        _table("", ("input", "in scope", "phases", "a (Å)", "unexplained"), shown)
    return _report_failures(result.failures)


_CLASSIFY_COLUMNS = (
    "input",
    "in_scope",
    "phases",
    "probability",
    "a_A",
    "weight_fraction",
    "traces",
    "unexplained",
    "prediction_sets",
    "radiation",
    "wavelength_A",
    "reason",
)


def _classify_row(row: Mapping[str, Any]) -> dict[str, Any]:
    phases = row["phases"]

    def joined(values: Iterable[Any]) -> str:
        return "; ".join(str(v) for v in values)

    return {
        "input": row["input"],
        "in_scope": row["in_scope"],
        "phases": joined(p["name"] for p in phases),
        "probability": joined(f"{p['probability']:.3f}" for p in phases),
        "a_A": joined(f"{p['lattice_A']['a']['value']:.4f}" for p in phases if p["lattice_A"]),
        "weight_fraction": joined(f"{p['weight_fraction']['value']:.3f}" for p in phases if p["weight_fraction"]),
        "traces": joined(p["name"] for p in row["traces"]),
        "unexplained": f"{row['unexplained_fraction']:.3f}",
        "prediction_sets": joined("+".join(s) for s in row["prediction_sets"]),
        "radiation": row["radiation"],
        "wavelength_A": row["wavelength_A"],
        "reason": row["reason"],
    }


def segment(inputs: Sequence[Path], out: Path, config: Path | None, flags: Mapping[str, Any], json: bool) -> int:
    """Label micrographs."""
    from hea_vision.batch import run_batch, write_batch
    from hea_vision.io import IMAGE_SUFFIXES, find_inputs, read_micrograph, write_labels
    from hea_vision.jobs import SegmentJob, read_job
    from hea_vision.measurement import measure_objects
    from hea_vision.report.batch import render_micrographs
    from hea_vision.segmentation import SEGMENTERS
    from hea_vision.segmentation import segment as label_image

    job = read_job(SegmentJob, config, flags)
    if job.model not in SEGMENTERS:
        from hea_sim.errors import unknown_name

        raise unknown_name("segmenter", job.model, SEGMENTERS)
    paths = _not_results(find_inputs(inputs, IMAGE_SUFFIXES), out)
    images: dict[str, Any] = {}
    names = _label_names(paths)

    def work(path: Path) -> Mapping[str, Any]:
        micrograph = read_micrograph(path, pixel_size_nm=job.pixel_size_nm, crop=job.crop_px)
        labels = label_image(micrograph, job.model)
        where = Path("labels") / names[path]
        write_labels(out / where, labels)
        images[path.as_posix()] = (micrograph, labels)
        return {
            "input": path.as_posix(),
            "labels": where.as_posix(),
            "classes": labels.classes,
            "pixel_size_nm": labels.pixel_size_nm,
            "fractions": labels.fractions,
            "objects": labels.objects,
            "measurements": [
                {"class": name, **asdict(item)}
                for number, name in labels.classes.items()
                if number > 0
                for item in measure_objects(labels.labels, number, labels.pixel_size_nm)
            ],
            "model": labels.model,
            "metadata": labels.metadata,
        }

    settings = {"verb": "segment", **job.model_dump()}
    result = run_batch(
        paths,
        work,
        settings=settings,
        out=out,
        outputs=lambda row: [out / row["labels"]],
        progress=lambda p: None if json else _say(f"segment {p}"),
    )
    rows = [_segment_row(row) for row in result.results]
    columns = tuple(dict.fromkeys(key for row in rows for key in row)) or ("input",)
    write_batch(result, out, table=rows, columns=columns)
    objects = [{"input": row["input"], **item} for row in result.results for item in row["measurements"]]
    write_csv(out / "objects.csv", objects, tuple(dict.fromkeys(k for o in objects for k in o)) or ("input",))
    write_atomic(out / "report.html", render_micrographs(result, images))
    if json:
        _print_json(result.document())
    else:
        _table("", ("input", *SHOWN_CLASSES), [_segment_line(row) for row in result.results])
    return _report_failures(result.failures)


def _not_results(paths: Sequence[Path], out: Path | None) -> list[Path]:
    """Leave out what an earlier run wrote into a folder of results that lies among the inputs."""
    if out is None:
        return list(paths)
    place = out.resolve()
    tables = {"results.csv", "objects.csv", "failures.csv"}

    def is_result(path: Path) -> bool:
        here = path.resolve()
        if place not in here.parents:
            return False
        return here.parent == place / "labels" or (here.parent == place and here.name in tables)

    return [path for path in paths if not is_result(path)]


def _label_names(paths: Sequence[Path]) -> dict[Path, str]:
    """Name label images after their inputs; equal names in different folders get their folder's name before."""
    from collections import Counter

    count = Counter(p.stem for p in paths)
    used: Counter[str] = Counter()
    names = {}
    for path in paths:
        stem = path.stem if count[path.stem] == 1 else f"{path.parent.name}_{path.stem}_{path.suffix[1:]}"
        used[stem] += 1
        names[path] = f"{stem}.tif" if used[stem] == 1 else f"{stem}_{used[stem]}.tif"
    return names


#: Classes that the table on the terminal shows.
SHOWN_CLASSES = ("second phase", "pore")


def _segment_line(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Write one line of the terminal's table: objects and per cent of the area, class by class."""
    cells = []
    for name in SHOWN_CLASSES:
        fraction, count = row["fractions"].get(name), row["objects"].get(name, 0)
        cells.append("–" if fraction is None else f"{count} ({100 * fraction['value']:.2g} %)")
    return (Path(row["input"]).name, *cells)


def _segment_row(row: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {"input": row["input"], "labels": row["labels"], "pixel_size_nm": row["pixel_size_nm"] or ""}
    for name, fraction in row["fractions"].items():
        flat[f"{name} fraction"] = f"{fraction['value']:.4f}"
        flat[f"{name} low"] = "" if fraction["low"] is None else f"{fraction['low']:.4f}"
        flat[f"{name} high"] = "" if fraction["high"] is None else f"{fraction['high']:.4f}"
    for name, n in row["objects"].items():
        flat[f"{name} objects"] = n
    return flat


def sample(job_file: Path, out: Path, flags: Mapping[str, Any], json: bool) -> int:
    """Run a lattice Monte Carlo job."""
    import tomli_w
    from ase.io import write

    from hea_sim.sampling import anneal
    from hea_vision.batch import make_folder
    from hea_vision.jobs import SampleJob, read_job

    job = read_job(SampleJob, job_file, flags)
    make_folder(out)
    run = anneal(job.alloy, job.model, size=job.size, temperatures_K=list(job.temperatures_K), seed=job.seed)
    write(out / "cell.extxyz", run.atoms)
    provenance = Provenance(
        model_sha256={run.model: str(run.card.get("arrays_sha256", ""))},
        seed=job.seed,
        versions=versions(),
        settings=job.model_dump(exclude_none=True),
    )
    content = document([{"input": job_file.as_posix(), "cell": "cell.extxyz", **to_jsonable(run)}], [], provenance)
    write_json(out / "results.json", content)
    write_atomic(out / "run.toml", tomli_w.dumps(to_jsonable(job.model_dump(exclude_none=True))))
    if json:
        _print_json(content)
    else:
        from hea_vision.report.text import format_estimate

        print(f"{run.alloy}, {run.model}, {len(run.atoms)} atoms at {run.equilibration_temperature_K:g} K")
        print(f"energy {format_estimate(run.energy_eV_per_atom)}, a = {format_estimate(run.lattice_A)} at 298 K")
    return 0


def pattern(structure: Path, out: Path, config: Path | None, flags: Mapping[str, Any]) -> int:
    """Compute a powder pattern of a structure file."""
    import numpy as np
    from ase.io import read

    from hea_sim.diffraction import powder_pattern
    from hea_vision.io import write_pattern
    from hea_vision.jobs import PatternJob, read_job

    if not structure.is_file():
        raise MissingFileError(f"{structure}: no such file; wanted a structure that ase reads")
    if config is None and flags.get("radiation") is None:
        from hea_sim.diffraction.radiation import radiation

        radiation(None)
    job = read_job(PatternJob, config, flags)
    try:
        atoms = read(structure)
    except Exception as error:  # readers of many formats raise many kinds
        raise InputError(f"{structure}: cannot be read as a structure ({' '.join(str(error).split())})") from error
    angles = np.arange(job.two_theta_min_deg, job.two_theta_max_deg + job.step_deg / 2, job.step_deg)
    write_pattern(out, powder_pattern(atoms, job.radiation, two_theta_deg=angles, b_iso_A2=job.b_iso_A2))
    print(f"wrote {out}")
    return 0


def predict(alloys: Sequence[str], json: bool) -> int:
    """Print a first opinion on compositions."""
    from hea_sim.forecasting import forecast
    from hea_vision.report.text import format_estimate, format_sets

    found, failures = [], []
    for alloy in alloys:
        try:
            found.append(
                forecast(alloy, equilibration_temperature_K=298.0, measurement_temperature_K=298.0, simulate=False)
            )
        except HEAError as error:
            failures.append({"input": alloy, "error": one_line_error(error)})
    if not found:
        raise InputError(failures[0]["error"])
    if json:
        rows = [{"input": f.alloy, **to_jsonable(f)} for f in found]
        _print_json(document(rows, failures, Provenance(versions=versions())))
        return _report_failures(failures)
    shown = [
        (f.alloy, format_sets(f.phase_sets), _lattices(f), format_estimate(f.volume_A3), f.volume_source) for f in found
    ]
    _table("", ("alloy", "phases at 99 %", "lattice parameter", "volume", "from"), shown)
    for f in found:
        for note in f.notes:
            print(f"{f.alloy}: {note}")
    return _report_failures(failures)


def _lattices(expected: Any) -> str:
    from hea_vision.report.text import format_estimate

    singles = [s[0] for s in expected.phase_sets if len(s) == 1 and s[0] in ("A1", "A2")]
    return ", ".join(f"{s}: {format_estimate(expected.lattice_parameter(s))}" for s in singles) or "–"


def suggest(alloy: str, n: int, json: bool) -> int:
    """Print neighbouring compositions worth making."""
    from hea_sim.properties import suggest_next

    found = suggest_next(alloy, n=n)
    if json:
        rows = [{"input": alloy, **to_jsonable(s)} for s in found]
        _print_json(document(rows, [], Provenance(versions=versions())))
    else:
        _table(f"after {alloy}", ("composition", "why"), [(s.formula, s.reason) for s in found])
        if not found:
            print(f"no neighbour of {alloy} lies inside the domain of the rules (alloys of four or more metals)")
    return 0


def models_list(json: bool) -> int:
    """List the shipped models."""
    from hea_sim.registry import list_models

    cards = list_models()
    if json:
        _print_json(document([c.model_dump() for c in cards], [], Provenance(versions=versions())))
    else:
        _table(
            "",
            ("name", "kind", "elements", "lattice"),
            [(c.name, c.kind, " ".join(c.elements), str(c.lattice)) for c in cards],
        )
    return 0


def models_show(name: str, json: bool) -> int:
    """Show one model's card."""
    from hea_sim.registry import load_card

    card = load_card(name).model_dump()
    _print_json(document([card], [], Provenance(versions=versions())) if json else card)
    return 0


def models_verify() -> int:
    """Check every model file against its card."""
    from hea_sim.registry import list_models, load_arrays

    for card in list_models():
        load_arrays(card.name)
        print(f"{card.name}: {card.arrays_sha256} unchanged")
    return 0


def data_list(json: bool) -> int:
    """List the known data sets."""
    from hea_sim.registry import list_datasets

    cards = list_datasets()
    if json:
        _print_json(document([c.model_dump() for c in cards], [], Provenance(versions=versions())))
    else:
        _table("", ("name", "licence", "files"), [(c.name, c.licence, str(len(c.files))) for c in cards])
    return 0


def data_show(name: str, json: bool) -> int:
    """Show one data set's card."""
    from hea_sim.registry import dataset_card

    card = dataset_card(name).model_dump()
    _print_json(document([card], [], Provenance(versions=versions())) if json else card)
    return 0


def data_verify(name: str) -> int:
    """Check a data set's files."""
    from hea_sim.registry import verify_dataset

    wrong = verify_dataset(name)
    if not wrong:
        print(f"{name}: every file is there and unchanged")
        return 0
    for file in wrong:
        _say(f"hea: {name}/{file}: missing or changed; get it again from the source named by 'hea data show {name}'")
    return 1
