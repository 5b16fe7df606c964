"""What `hea measure` does with one file: read labels, measure, write the table of objects."""

from __future__ import annotations

import csv
import dataclasses
import functools
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hea_sim.documents import sha256_of, to_jsonable, write_atomic
from hea_sim.errors import InputError
from hea_sim.records import Estimate, Segmentation
from hea_vision.measurement.field_totals import totals_to_plain
from hea_vision.measurement.measure_labels import Measurements, measure

if TYPE_CHECKING:
    from hea_vision.jobs import MeasureJob

OBJECT_COLUMNS = (
    "input",
    "class",
    "number",
    "row",
    "column",
    "area_px",
    "equivalent_diameter",
    "unit",
    "touches_edge",
    "feret_max",
    "feret_min",
    "aspect_ratio",
    "circularity",
    "solidity",
    "orientation_deg",
)
_STRAIN_STDS = ("e_xx_std", "e_yy_std", "e_xy_std", "rotation_deg_std")
STRAIN_COLUMNS = ("input", "row", "column", "h", "k", "e_xx", "e_yy", "e_xy", "rotation_deg", *_STRAIN_STDS)
#: Folders that `hea segment` writes beside its folder of labels.
_LABELS, _INSTANCES, _OBJECTS, _RESULTS = "labels", "instances", "objects", "results.json"
#: More numbers than this without names are no classes.
_MOST_NAMELESS = 32
#: Folder for the table of each image; another than that of `hea segment`, whose tables hold the places of columns.
TABLES = "measured"
#: Form of the rows of `hea measure`: raise it when rows change, so that no run takes up rows of an earlier form.
MEASURE_ROWS = 1
#: Where the error of labels was said in a form that is not read.
_NOT_KNOWN = "the error of its labels is not known"


@dataclass(frozen=True, kw_only=True)
class MeasureWork:
    """Do the work of `hea measure` for one label image; it travels to worker processes."""

    job: MeasureJob
    out: Path
    names: Mapping[Path, str]
    root: Path | None = None

    def __call__(self, path: Path) -> list[dict[str, Any]]:
        """Measure a label image: one row, with its table of objects in `out`."""
        here = path if self.root is None else self.root / path
        segmentation = read_segmentation(here, kind=self.job.kind, pixel_size_nm=self.job.pixel_size_nm)
        found = measure(
            segmentation,
            pattern=self.job.pattern,
            spacing_px=self.job.spacing_px,
            lamellae=self.job.lamellae,
            seed=self.job.seed,
        )
        notes = list(found.notes)
        if "fractions_note" in segmentation.metadata:
            notes.append(segmentation.metadata["fractions_note"])
        row: dict[str, Any] = {
            "input": path.as_posix(),
            "classes": found.classes,
            "pixel_size_nm": found.pixel_size_nm,
            "shape_px": list(segmentation.labels.shape),
            "estimates": found.estimates,
            "notes": notes,
            "totals": totals_to_plain(found.totals),
            "object_table": f"{TABLES}/{self.names[path]}.csv",
            "model": found.model,
            "source": found.source,
        }
        if _of_segment(path):
            row["companions"] = companions_file(self.names[path])
        write_atomic(self.out / row["object_table"], object_table_text(found, row["input"]))
        if found.strain is not None and segmentation.points is not None:
            row["strain_table"] = f"strain/{self.names[path]}.csv"
            write_atomic(self.out / row["strain_table"], _strain_text(found, segmentation.points, row["input"]))
        return [row]


def label_folder(path: Path) -> Path:
    """Give the label images of a folder that `hea segment` has written, whose pictures are no labels; else the path."""
    return path / _LABELS if (path / _LABELS).is_dir() and (path / _RESULTS).is_file() else path


def companions_file(name: str) -> str:
    """Name the file in the folder of results that says what lay beside a label image."""
    return f"{TABLES}/{name}.companions.json"


def note_companions(names: Mapping[Path, str], out: Path) -> None:
    """Write for each label image of `hea segment` what lies beside it, so that rows are measured again once it changes.

    Written before any work, and named among the files of a row, which must be unchanged for the row to be taken up.
    """
    for path, name in names.items():
        if not _of_segment(path):
            continue
        place, text = out / companions_file(name), json.dumps(_companions(path), indent=1)
        try:
            if not place.is_file() or place.read_bytes() != text.encode():
                write_atomic(place, text)
        except OSError as error:
            raise InputError(
                f"{place}: cannot be written ({error.strerror}); wanted a writable --out folder"
            ) from error


def _of_segment(path: Path) -> bool:
    return path.parent.name == _LABELS


def _beside(path: Path) -> tuple[Path, Path, Path]:
    """Name the object numbers, the table of objects and the results that belong to a label image."""
    beside = path.parent.parent
    return beside / _INSTANCES / path.name, beside / _OBJECTS / f"{path.stem}.csv", beside / _RESULTS


def _companions(path: Path) -> dict[str, Any]:
    """Give the checksums of the files beside a label image, and its area fractions in the results."""
    numbered, listed, results = _beside(path)
    found: dict[str, Any] = {_INSTANCES: _checksum(numbered), _OBJECTS: _checksum(listed)}
    try:
        found[_RESULTS] = to_jsonable(_said_in(results, path))
    except (InputError, OSError):  # measuring says why; one that is mended later differs
        found[_RESULTS] = _checksum(results)
    return found


def _checksum(path: Path) -> str | None:
    try:
        return sha256_of(path) if path.is_file() else None
    except OSError:
        return "cannot be read"


def read_segmentation(path: Path, *, kind: str = "classes", pixel_size_nm: float | None = None) -> Segmentation:
    """Read a label image for measuring.

    Parameters
    ----------
    kind
        What the numbers in the file are: `classes`, `grains` (a grain a number, 0 on boundaries or none) or
        `boundaries` (0 in grains, anything else on boundaries).
    pixel_size_nm
        Where the file holds another, or none.

    What `hea segment` has written beside its labels is read with them: grains, columns, and the area fractions with the
    error of the labels, so that the file says what the segmentation did.
    """
    from hea_vision.io.labels import read_instances, read_labels

    if kind == "grains":
        instances, size = read_instances(path)
        found = Segmentation(
            labels=(instances <= 0).astype(np.uint8),
            classes={0: "grain", 1: "grain boundary"},
            pixel_size_nm=size,
            source=str(path),
            instances=instances,
        )
    else:
        found = read_labels(path)
        if kind == "classes" and "classes_note" in found.metadata and len(found.classes) > _MOST_NAMELESS:
            raise InputError(
                f"{path}: {len(found.classes)} numbers and no names of classes: a picture, or grains? Label a picture"
                " with hea segment first; measure grains with --kind grains"
            )
        if kind == "boundaries":
            found = dataclasses.replace(
                found, labels=(found.labels > 0).astype(np.uint8), classes={0: "grain", 1: "grain boundary"}
            )
        else:
            found = _with_companions(path, found)
    return found if pixel_size_nm is None else dataclasses.replace(found, pixel_size_nm=pixel_size_nm)


def _with_companions(path: Path, found: Segmentation) -> Segmentation:
    """Join what lies beside a label image of `hea segment`: object numbers, places of columns, area fractions."""
    from hea_vision.io.labels import read_instances

    if not _of_segment(path):
        return found
    numbered, listed, results = _beside(path)
    if numbered.is_file():
        instances, _ = read_instances(numbered)
        if instances.shape != found.labels.shape:
            raise InputError(
                f"{numbered}: {instances.shape} pixels and {path.name} {found.labels.shape}; wanted one shape:"
                " segment the image again"
            )
        found = dataclasses.replace(found, instances=instances)
    if "column" in found.classes.values() and listed.is_file():
        found = dataclasses.replace(found, points=_read_points(listed))
    said = _said_in(results, path)
    fractions = {name: e for name, e in said.items() if e is not None}
    if len(fractions) < len(said):
        found = dataclasses.replace(found, metadata={**found.metadata, "fractions_note": _NOT_KNOWN})
    return dataclasses.replace(found, fractions=fractions) if fractions else found


def _said_in(results: Path, path: Path) -> Mapping[str, Estimate | None]:
    """Give the area fractions of a label image by class, None for one that is no estimate; empty without results."""
    if not results.is_file():
        return {}
    return _fractions_of_batch(results, results.stat().st_mtime_ns).get(f"{_LABELS}/{path.name}", {})


@functools.lru_cache(maxsize=2)
def _fractions_of_batch(path: Path, _changed_ns: int) -> dict[str, dict[str, Estimate | None]]:
    """Read the area fractions in results of `hea segment`, by the label image; once for all images of a batch.

    Other programs name their results so too: rows and fractions of another form are passed over, not refused.
    """
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: no results of hea segment ({error}); segment again, or move the labels") from error
    rows = written.get("results") if isinstance(written, dict) else None
    return {
        row["labels"]: _fractions_of_row(row["fractions"])
        for row in (rows if isinstance(rows, list) else [])
        if isinstance(row, dict) and isinstance(row.get("labels"), str) and "fractions" in row
    }


def _fractions_of_row(written: Any) -> dict[str, Estimate | None]:
    return {name: _estimate(e) for name, e in written.items()} if isinstance(written, dict) else {"": None}


def _estimate(written: Any) -> Estimate | None:
    """Read an estimate of numbers; None where it is none."""
    if not isinstance(written, dict) or not isinstance(written.get("value"), int | float):
        return None
    try:
        return Estimate(**written)
    except (TypeError, ValueError):
        return None


def _read_points(path: Path) -> np.ndarray:
    with open(path, encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    try:
        places = [[float(r["row"]), float(r["column"]), float(r["intensity"])] for r in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: wanted columns row, column, intensity with numbers; segment again") from error
    return np.array(places).reshape(-1, 3)


def object_table_text(found: Measurements, name: str) -> str:
    """Write the objects of all classes as CSV."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(OBJECT_COLUMNS)
    for kind, shapes in found.shapes.items():
        columns: list[Sequence[Any]] = []
        for key in OBJECT_COLUMNS[2:]:
            columns.append([shapes.unit] * len(shapes) if key == "unit" else _column(shapes[key]))
        writer.writerows((name, kind, *values) for values in zip(*columns))
    return stream.getvalue()


def _column(values: np.ndarray) -> list[Any]:
    if values.dtype.kind == "f":
        return [f"{v:.6g}" for v in values.tolist()]
    return [int(v) for v in values.tolist()]


def _strain_text(found: Measurements, points: np.ndarray, name: str) -> str:
    strain = found.strain
    assert strain is not None
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(STRAIN_COLUMNS)
    values = np.column_stack([strain.e_xx, strain.e_yy, strain.e_xy, strain.rotation_deg, strain.std])
    for place, (h, k), numbers in zip(points, strain.indices, values):
        blank = ("" if np.isnan(v) else f"{v:.6g}" for v in numbers)
        writer.writerow((name, f"{place[0]:.3f}", f"{place[1]:.3f}", int(h), int(k), *blank))
    return stream.getvalue()
