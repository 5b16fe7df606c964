"""What `hea segment` does with one file: read, label, measure, draw, write; and the table of its objects."""

from __future__ import annotations

import csv
import dataclasses
import io
import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.documents import write_atomic
from hea_sim.records import Estimate, Micrograph, Segmentation
from hea_vision.executors import explain
from hea_vision.io.lengths import parse_length
from hea_vision.jobs import SegmentJob
from hea_vision.measurement.fractions import of_field_alone
from hea_vision.measurement.shapes import Shapes
from hea_vision.measurement.sizes import mean_diameter, outline_shift_std_px
from hea_vision.measurement.strips import LARGE_PX
from hea_vision.measurement.windows import SHAPE_COLUMNS, class_objects, instance_objects

#: Objects that a row of results lists itself; the table beside it lists all of them.
MOST_LISTED = 200
#: Form of the rows of `hea segment`: raise it when rows change, so that no run takes up rows of an earlier form.
SEGMENT_ROWS = 1
#: Longer side of the picture with outlines and of the thumbnail, in px.
OVERLAY_PX, THUMBNAIL_PX = 3000, 480
#: Resolution of figures: more would take longer than the labels.
_FIGURE_DPI = 200
#: Columns of the table of objects, and of that of atom columns.
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
    *SHAPE_COLUMNS,
)
POINT_COLUMNS = ("input", "class", "number", "row", "column", "intensity")
#: What a network keeps of how often its labels are wrong; results have it once, as `expected_wrong_share`.
_DOUBT = "mean_uncertainty"
#: Turns and mirrorings of a square.
_ALL_VIEWS = 8


@dataclass(frozen=True, kw_only=True)
class MicrographWork:
    """Do the work of `hea segment` for one file: a row for each page, with its files in `out`.

    It travels to worker processes, so it holds settings and names alone. `root` is the folder that relative paths
    start from; None for the working directory.
    """

    job: SegmentJob
    out: Path
    names: Mapping[Path, str]
    root: Path | None = None

    def __call__(self, path: Path) -> list[dict[str, Any]]:
        """Label every field of a file; a page that fails is a row with its error."""
        rows: list[dict[str, Any]] = []
        name = path.as_posix()
        try:
            for name, stem, field in self._fields(path):
                rows.append(self._attempt(path, name, stem, field))
        except Exception as error:  # the file, or the rest of it, cannot be read
            rows.append({"input": name, "error": self._said(path, explain(error))})
        return rows

    def _fields(self, path: Path) -> Iterator[tuple[str, str, Micrograph]]:
        """Read the fields of a file, with the names of their rows and of their files."""
        here = path if self.root is None else self.root / path
        name, stem = path.as_posix(), self.names[path]
        if not self.job.all_pages:
            yield name, stem, self._read(here, None)
            return
        page, pages = 1, 1
        while page <= pages:
            field = self._read(here, page)
            pages = int(field.metadata.get("pages", 1))
            yield (name, stem, field) if pages == 1 else (f"{name}#{page}", f"{stem}.page{page}", field)
            page += 1

    def _read(self, path: Path, page: int | None) -> Micrograph:
        """Read a field as floats; a large one stays in its file, with the file's own type."""
        from hea_vision.io.micrographs import open_micrograph, read_micrograph

        job = self.job
        said: dict[str, Any] = {
            "pixel_size_nm": job.pixel_size_nm,
            "crop": job.crop_px,
            "scale_bar_nm": None if job.scale_bar is None else parse_length(job.scale_bar),
            "page": page,
        }
        field = open_micrograph(path, **said)
        return field if field.image.size > LARGE_PX else read_micrograph(path, **said)

    def _attempt(self, path: Path, name: str, stem: str, field: Micrograph) -> dict[str, Any]:
        try:
            return self._label(path, name, stem, field)
        except Exception as error:  # one page must not stop the others of its file
            return {"input": name, "error": self._said(path, explain(error))}

    def _said(self, path: Path, text: str) -> str:
        """Name the file as the user did."""
        return text if self.root is None else text.replace(str(self.root / path), str(path))

    def _label(self, path: Path, name: str, stem: str, field: Micrograph) -> dict[str, Any]:
        from hea_vision.io.labels import write_instances, write_labels
        from hea_vision.segmentation import segment

        found = segment(field, self.job.model, **segment_options(self.job))
        found = dataclasses.replace(found, source=self._said(path, found.source))
        _let_go(field.image)
        objects = objects_of(found)
        places = {
            "labels": f"labels/{stem}.tif",
            "figure": f"figures/{stem}.png",
            "overlay": f"overlays/{stem}.png",
            "thumbnail": f"thumbnails/{stem}.jpg",
            "object_table": f"objects/{stem}.csv",
        }
        write_labels(self.out / places["labels"], found)
        if found.instances is not None:
            places["instances"] = f"instances/{stem}.tif"
            said = {"pixel_size_nm": found.pixel_size_nm, "model": found.model, "source": found.source}
            write_instances(self.out / places["instances"], found.instances, **said)
        _draw(field, found, {key: self.out / place for key, place in places.items()})
        _write_objects(self.out / places["object_table"], name, found, objects)
        return {
            "input": name,
            **places,
            "classes": found.classes,
            "pixel_size_nm": found.pixel_size_nm,
            "shape_px": list(found.labels.shape),
            "fractions": found.fractions,
            "unfamiliar": found.unfamiliar,
            "unfamiliarity": found.unfamiliarity,
            "expected_wrong_share": expected_wrong_share(found),
            "objects": found.objects or {name: len(some) for name, some in objects.items()},
            "sizes": mean_sizes(found, objects),
            "measurements": _listed(objects),
            "model": found.model,
            "metadata": {key: value for key, value in found.metadata.items() if key != _DOUBT},
        }


def expected_wrong_share(found: Segmentation) -> float | None:
    """Average the probability that a pixel's label is wrong: of the labels as they are, where their maps are kept.

    A large field has the mean that the network gave while it labelled; without probabilities there is None.
    """
    p = found.probabilities
    if p is None:
        return found.metadata.get(_DOUBT)
    numbers = np.array(sorted(found.classes))
    rows = (  # row by row, so that no copy of a large map is made
        1.0 - np.take_along_axis(p[:, k], np.searchsorted(numbers, row)[None], 0).mean(dtype=float)
        for k, row in enumerate(np.asarray(found.labels))
    )
    return float(np.mean(list(rows)))


def _let_go(image: np.ndarray) -> None:
    """Give back the memory of an image that is mapped from its file; what is needed again is read again."""
    base: Any = image
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap) and not image.flags.writeable and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)


def segment_options(job: SegmentJob) -> dict[str, Any]:
    """List what a network is told beyond the image; the device is chosen where the work is done."""
    from hea_vision.segmentation import SEGMENTERS, checked_device

    if job.model in SEGMENTERS:
        return {}
    return {"views": _ALL_VIEWS if job.tta else 1, "device": checked_device(job.device)}


def output_files(row: Mapping[str, Any], out: Path) -> list[Path]:
    """Name the files that a row of results stands for."""
    made = ("labels", "figure", "overlay", "thumbnail", "object_table", "instances")
    return [out / row[key] for key in made if key in row]


def objects_of(found: Segmentation) -> dict[str, Shapes]:
    """Measure the objects of each class: those that the segmenter tells apart, else connected areas but class 0."""
    if found.points is not None:
        return {}
    size = found.pixel_size_nm
    if found.instances is None:
        return {name: class_objects(found.labels, k, size) for k, name in found.classes.items() if k > 0}
    objects = instance_objects(found.instances, found.labels, size)
    return {name: objects[number] for number, name in found.classes.items() if number in objects}


def mean_sizes(found: Segmentation, objects: Mapping[str, Shapes]) -> dict[str, Estimate]:
    """Average the equivalent diameters of each class, as `hea measure` does.

    Grains are parted by boundaries of one pixel, which do not move with the area of a class: the error of labels is
    left out for them.
    """
    numbers = {} if found.instances is not None else {name: number for number, name in found.classes.items()}
    sizes = {}
    for name, shapes in objects.items():
        shift = None
        known = found.fractions.get(name)
        if name in numbers and known is not None and of_field_alone(known):
            shift_px = outline_shift_std_px(found.labels, numbers[name], known)
            shift = None if shift_px is None else shift_px * (found.pixel_size_nm or 1.0)
        size = mean_diameter(shapes, outline_shift_std=shift)
        if size is not None:
            sizes[name] = size
    return sizes


def _listed(objects: Mapping[str, Shapes]) -> list[dict[str, Any]]:
    """List the objects with their measures, where they are few."""
    if sum(len(found) for found in objects.values()) > MOST_LISTED:
        return []
    listed = []
    for name, found in objects.items():
        columns = {key: values.tolist() for key, values in found.columns.items()}
        for k in range(len(found)):
            measures = {key: values[k] for key, values in columns.items()}
            listed.append({"class": name, "unit": found.unit, **measures})
    return listed


def _write_objects(path: Path, name: str, found: Segmentation, objects: Mapping[str, Shapes]) -> None:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    if found.points is None:
        writer.writerow(OBJECT_COLUMNS)
        for kind, some in objects.items():
            writer.writerows(_object_rows(name, kind, some))
    else:
        writer.writerow(POINT_COLUMNS)
        kind = found.classes.get(1, "column")
        for number, (row, column, intensity) in enumerate(found.points, 1):
            # Every digit, so that lattice and strain come out the same from the table.
            writer.writerow((name, kind, number, *(repr(float(v)) for v in (row, column, intensity))))
    write_atomic(path, stream.getvalue())


def _object_rows(name: str, kind: str, found: Shapes) -> Iterator[tuple[Any, ...]]:
    places = [found[key].tolist() for key in ("number", "row", "column", "area_px", "equivalent_diameter")]
    shapes = [found[key].tolist() for key in SHAPE_COLUMNS]
    touches = found["touches_edge"].tolist()
    for k, (number, row, column, area, diameter) in enumerate(zip(*places)):
        shape = ("" if np.isnan(values[k]) else f"{values[k]:.5g}" for values in shapes)
        fixed = f"{row:.2f}", f"{column:.2f}", area, f"{diameter:.5g}", found.unit, int(touches[k])
        yield name, kind, number, *fixed, *shape


def _draw(field: Micrograph, found: Segmentation, places: Mapping[str, Path]) -> None:
    """Draw the figure for print, the picture with outlines, and its thumbnail."""
    from PIL import Image

    from hea_vision.report.figures import micrograph_figure, save_figure
    from hea_vision.segmentation import overlay_rgb

    save_figure(micrograph_figure(field, found), places["figure"], dpi=_FIGURE_DPI)
    for key, most_px, kind in (("overlay", OVERLAY_PX, "PNG"), ("thumbnail", THUMBNAIL_PX, "JPEG")):
        stream = io.BytesIO()
        Image.fromarray(overlay_rgb(field, found, most_px=most_px)).save(stream, kind, quality=88)
        write_atomic(places[key], stream.getvalue())
