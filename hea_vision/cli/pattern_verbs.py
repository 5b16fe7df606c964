"""What the verbs of patterns do: read settings, run, write, print. Each returns the exit code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hea_sim.documents import document, to_jsonable, versions, write_atomic
from hea_sim.errors import InputError, MissingFileError, one_line_error
from hea_sim.records import Pattern, PatternCall, Provenance
from hea_sim.settings import read_settings
from hea_vision.cli.printing import (
    file_names,
    print_json,
    print_table,
    progress_of,
    report_failures,
    say,
)
from hea_vision.jobs import ClassifyJob


@dataclass(frozen=True, kw_only=True)
class PatternWork:
    """Do the work of `hea classify` for one file: a row for each scan, and its figure where there is a folder.

    It travels to worker processes, so it holds settings and names alone.
    """

    job: ClassifyJob
    out: Path | None = None
    names: Mapping[Path, str]

    def __call__(self, path: Path) -> list[dict[str, Any]]:
        """Label every scan of a file; a scan that fails is a row with its error."""
        scans = _read_scans(path, self.job)
        if self.job.fast:
            return _proposals(scans, self.job)
        rows = []
        for name, pattern in scans:
            try:
                rows.append(self._label(path, name, pattern))
            except Exception as error:  # one scan must not stop the others of its file
                rows.append({"input": name, "error": one_line_error(error)})
        return rows

    def _label(self, path: Path, name: str, pattern: Pattern) -> dict[str, Any]:
        from hea_vision.xrd import classify_pattern

        job = self.job
        call = classify_pattern(pattern, elements=job.elements, structures=_structures(job.structures), model=job.model)
        row = {**to_jsonable(call), "input": name}
        if self.out is not None and call.curves:
            stem = self.names[path] + name.removeprefix(path.as_posix()).replace("#", ".scan")
            row["figure"] = _draw(call, self.out, stem)
        return row


def _structures(names: tuple[str, ...] | None) -> tuple[Any, ...] | None:
    from hea_vision.jobs import read_structures

    return read_structures(names) if names else None


def _read_scans(path: Path, job: ClassifyJob) -> list[tuple[str, Pattern]]:
    """Read the scans of a file with their names: repeats are summed, others are `file#number`."""
    from hea_vision.io import DETECTOR_SUFFIXES, read_pattern, read_patterns

    name = path.as_posix()
    said: dict[str, Any] = {"radiation": job.radiation, "wavelength_A": job.wavelength_A}
    if path.suffix.lower() in DETECTOR_SUFFIXES:
        return [(name, read_pattern(path, calibration=job.calibration, **said))]
    said["axis"] = job.axis
    if job.scan is not None:
        pattern = read_pattern(path, scan=job.scan, **said)
        return [(f"{name}#{job.scan}" if "scan" in pattern.metadata else name, pattern)]
    several = read_patterns(path, **said)
    if len(several) == 1:
        return [(name, several[0])]
    try:
        return [(name, read_pattern(path, **said))]
    except InputError:  # they are no repeats of one scan
        return [(f"{name}#{pattern.metadata['scan']}", pattern) for pattern in several]


def _proposals(scans: Sequence[tuple[str, Pattern]], job: ClassifyJob) -> list[dict[str, Any]]:
    from hea_vision.xrd.fast_mode import PROPOSALS_ONLY, propose_phases
    from hea_vision.xrd.question import pattern_radiation

    rows: list[dict[str, Any]] = []
    for name, pattern in scans:
        try:
            found = propose_phases([pattern], elements=job.elements)[0]
            source = pattern_radiation(pattern)
        except Exception as error:  # one scan must not stop the others of its file
            rows.append({"input": name, "error": one_line_error(error)})
            continue
        rows.append(
            {
                "input": name,
                "probabilities": found,
                "radiation": source.name,
                "wavelength_A": source.wavelength_A,
                "method": PROPOSALS_ONLY,
            }
        )
    return rows


def _draw(call: PatternCall, out: Path, stem: str) -> str:
    """Draw the figure of a call, fit for print; return its place in the folder."""
    from hea_vision.report import pattern_figure, save_figure

    place = f"figures/{stem}.png"
    save_figure(pattern_figure(call), out / place)
    return place


def classify(
    inputs: Sequence[Path], out: Path | None, config: Path | None, flags: Mapping[str, Any], json: bool
) -> int:
    """Label patterns."""
    from hea_vision.batch import run_batch, write_batch
    from hea_vision.io import DETECTOR_SUFFIXES, PATTERN_SUFFIXES, find_inputs, without_results
    from hea_vision.report.batch import render_patterns

    job = read_settings(ClassifyJob, config, flags)
    suffixes = (*PATTERN_SUFFIXES, *(DETECTOR_SUFFIXES if job.calibration else ()))
    paths = without_results(find_inputs(inputs, suffixes), out)
    models = _model_sha256(job)
    with progress_of("classify", json) as progress:
        result = run_batch(
            paths,
            PatternWork(job=job, out=out, names=file_names(paths)),
            settings={"verb": "classify", **job.model_dump(exclude={"workers"})},
            out=out,
            outputs=lambda row: [out / row["figure"]] if out is not None and "figure" in row else [],
            shared_files=[*job.structure_files, *([job.calibration] if job.calibration else [])],
            model_sha256=models,
            workers=job.workers,
            progress=progress,
        )
    rows = [_fast_row(row) if job.fast else _classify_row(row) for row in result.results]
    if out is not None:
        write_batch(result, out, table=rows, columns=_FAST_COLUMNS if job.fast else _CLASSIFY_COLUMNS)
        write_atomic(out / "report.html", render_patterns(result, out))
    if json:
        print_json(result.document())
    elif job.fast:
        likely = [(Path(row["input"]).name, row["likely"]) for row in rows]
        print_table("", ("input", "structure types, with probability"), likely)
        print("proposals of the network only: no lattice was fitted, no set of phases judged, nothing refused")
    else:
        shown = [(Path(row["input"]).name, *(str(row[c]) for c in _SHOWN if c != "input")) for row in rows]
        print_table("", tuple(_SHOWN.values()), shown)
    return report_failures(result.failures)


def _model_sha256(job: ClassifyJob) -> dict[str, str]:
    """Name the models that the labels come from, by checksum; the error where one is not there, before any work."""
    if job.model != "network":
        return {}
    from hea_sim.registry import load_card
    from hea_vision.xrd.network_labeller import PROPOSER, RANKING

    return {name: load_card(name).arrays_sha256 for name in ((PROPOSER,) if job.fast else (PROPOSER, RANKING))}


_CLASSIFY_COLUMNS = (
    "input",
    "in_scope",
    "phases",
    "probability",
    "a_A",
    "weight_percent",
    "explained",
    "traces",
    "unexplained",
    "prediction_sets",
    "radiation",
    "wavelength_A",
    "reason",
)
_FAST_COLUMNS = ("input", "likely", "probabilities", "radiation", "wavelength_A", "method")
#: Columns of the terminal's table, with their heads.
_SHOWN = {
    "input": "input",
    "phases": "phases",
    "probability": "p",
    "a_A": "a (Å)",
    "weight_percent": "wt%",
    "explained": "explained %",
    "unexplained": "left %",
    "verdict": "",
}
#: A structure type is named on the terminal where the network finds it at least this likely.
_LIKELY = 0.5


def _classify_row(row: Mapping[str, Any]) -> dict[str, Any]:
    phases = row["phases"]

    def joined(values: Iterable[str]) -> str:
        return "; ".join(values)

    def each(key: str, form: Callable[[Any], str]) -> str:
        return joined("–" if p[key] is None else form(p[key]) for p in phases)

    refused = not row["in_scope"]  # the weights of candidates mean nothing

    return {
        "input": row["input"],
        "in_scope": row["in_scope"],
        "phases": joined(p["name"] for p in phases),
        "probability": each("probability", lambda p: f"{p:.3f}"),
        "a_A": each("lattice_A", lambda cell: f"{cell['a']['value']:.4f}" if cell else "–"),
        "weight_percent": "" if refused else each("weight_fraction", lambda w: f"{100 * w['value']:.1f}"),
        "explained": each("explained_fraction", lambda share: f"{100 * share:.1f}"),
        "traces": joined(p["name"] for p in row["traces"]),
        "unexplained": f"{100 * row['unexplained_fraction']:.1f}",
        "prediction_sets": joined("+".join(s) for s in row["prediction_sets"]),
        "radiation": row["radiation"],
        "wavelength_A": row["wavelength_A"],
        "reason": row["reason"],
        "verdict": "refused" if refused else "",
    }


def _fast_row(row: Mapping[str, Any]) -> dict[str, Any]:
    ranked = sorted(row["probabilities"].items(), key=lambda item: -item[1])
    likely = [(name, p) for i, (name, p) in enumerate(ranked) if i == 0 or p >= _LIKELY]
    return {
        **row,
        "likely": "; ".join(f"{name} {p:.2f}" for name, p in likely),
        "probabilities": "; ".join(f"{name} {p:.4f}" for name, p in ranked),
    }


def pattern(structure: Path, out: Path, config: Path | None, flags: Mapping[str, Any]) -> int:
    """Compute a powder pattern of a structure file."""
    import numpy as np
    from ase.io import read

    from hea_sim.diffraction import powder_pattern
    from hea_vision.io import write_pattern
    from hea_vision.jobs import PatternJob

    if not structure.is_file():
        raise MissingFileError(f"{structure}: no such file; wanted a structure that ase reads")
    if config is None and flags.get("radiation") is None:
        from hea_sim.diffraction.radiation import radiation

        radiation(None)
    job = read_settings(PatternJob, config, flags)
    try:
        atoms = read(structure)
    except Exception as error:  # readers of many formats raise many kinds
        raise InputError(f"{structure}: cannot be read as a structure ({' '.join(str(error).split())})") from error
    angles = np.arange(job.two_theta_min_deg, job.two_theta_max_deg + job.step_deg / 2, job.step_deg)
    write_pattern(out, powder_pattern(atoms, job.radiation, two_theta_deg=angles, b_iso_A2=job.b_iso_A2))
    print(f"wrote {out}")
    return 0


def train_xrd(out: Path, config: Path | None, flags: Mapping[str, Any], json: bool) -> int:
    """Train the network that proposes structure types, on simulated patterns; goes on where the folder stands."""
    import tomli_w

    from hea_vision.batch import make_folder
    from hea_vision.devices import checked_device
    from hea_vision.jobs import TrainXrdJob

    job = read_settings(TrainXrdJob, config, flags)
    make_folder(out)
    from hea_vision.xrd.training import TrainingSettings, train_proposer  # torch takes seconds to load

    given = job.model_dump(exclude_none=True, exclude={"device"})
    settings = TrainingSettings(**given, device=checked_device(job.device))
    train_proposer(out, settings, say=(lambda _: None) if json else say)
    write_atomic(out / "run.toml", tomli_w.dumps({k: v for k, v in asdict(settings).items() if v is not None}))
    row = {"out": out.as_posix(), "weights": "weights.safetensors", "log": "log.csv", "settings": asdict(settings)}
    if json:
        print_json(document([row], [], Provenance(seed=settings.seed, versions=versions(), settings=asdict(settings))))
    else:
        print(f"trained on {settings.patterns} patterns: {out / 'weights.safetensors'}, {out / 'log.csv'}")
    return 0
