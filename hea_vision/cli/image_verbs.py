"""What `hea image` does: virtual micrographs with their truth, of a structure or of a kind of microstructure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.documents import document, write_csv, write_json
from hea_sim.errors import HEAError, InputError, MissingFileError
from hea_sim.microscopy.random_fields import KINDS, draw_field
from hea_sim.microscopy.virtual import VirtualMicrograph, virtual_micrograph
from hea_sim.records import Estimate, Provenance, Segmentation
from hea_sim.settings import read_settings
from hea_vision.cli.printing import print_json
from hea_vision.io.label_files import atomic_path
from hea_vision.jobs import ImageJob
from hea_vision.micrograph_work import POINT_COLUMNS

#: What made the labels.
_TRUTH = "truth"


def image(subject: str, out: Path, config: Path | None, flags: Mapping[str, Any], json: bool) -> int:
    """Draw virtual micrographs, and write each with its labels, its objects' numbers and its columns."""
    from hea_vision.batch import make_folder

    job = read_settings(ImageJob, config, flags)
    make_folder(out)
    rows = []
    for number in range(job.count):
        drawn = _draw(subject, number, job)
        rows.append(_write(out, f"{Path(subject).stem}_{number:03d}", drawn, [job.seed, number]))
    provenance = Provenance(seed=job.seed, settings={"subject": subject, **job.model_dump(exclude_none=True)})
    result = document(rows, [], provenance)
    write_json(out / "results.json", result)
    if json:
        print_json(result)
    else:
        print(f"{out}: {len(rows)} virtual micrograph{'s' * (len(rows) != 1)} with labels")
    return 0


def _draw(subject: str, number: int, job: ImageJob) -> VirtualMicrograph:
    # Seed and number together, so that sets of neighbouring seeds share no picture.
    rng = np.random.default_rng([job.seed, number])
    if subject in KINDS:
        for _ in range(100):
            try:
                return draw_field(subject, rng, job.shape or (512, 512), pixel_size_nm=job.pixel_size_nm)
            except HEAError:
                continue  # no room for what was drawn
        raise InputError(f"{subject}: no room for what is drawn in {job.shape}; wanted a larger shape")
    path = Path(subject)
    if not path.is_file():
        raise MissingFileError(f"'{subject}' is no structure file and no kind; the kinds are {', '.join(KINDS)}")
    from ase.io import read

    try:
        atoms = read(path)
    except Exception as error:  # readers of many formats raise many kinds
        raise InputError(f"{path}: cannot be read as a structure ({error})") from error
    return virtual_micrograph(
        atoms[-1] if isinstance(atoms, list) else atoms,
        modality="haadf",
        shape=job.shape,
        pixel_size_nm=job.pixel_size_nm,
        seed=rng,
        axis=job.axis,
    )


def _write(out: Path, name: str, drawn: VirtualMicrograph, seed: list[int]) -> dict[str, Any]:
    """Write a picture and its truth, laid out as `hea segment` lays out its labels: `hea measure` takes the folder."""
    from hea_vision.io import write_instances, write_labels

    classes, size = dict(drawn.classes), drawn.pixel_size_nm
    truth = Segmentation(
        labels=drawn.labels, classes=classes, pixel_size_nm=size, model=_TRUTH, source=f"{name}.tif",
        instances=drawn.instances, points=drawn.points,
    )  # fmt: skip
    row: dict[str, Any] = {"image": f"{name}.tif", "labels": f"labels/{name}.tif"}
    _write_picture(out / row["image"], drawn.image, size)
    write_labels(out / row["labels"], truth)
    if truth.instances is not None:
        row["instances"] = f"instances/{name}.tif"
        write_instances(out / row["instances"], truth.instances, pixel_size_nm=size, model=_TRUTH, source=truth.source)
    if truth.points is not None:
        row["object_table"] = f"objects/{name}.csv"
        _write_points(out / row["object_table"], row["image"], truth)
    return {
        **row,
        "classes": classes,
        "pixel_size_nm": size,
        "seed": seed,
        "fractions": {n: _exactly(drawn.area_fraction(n)) for k, n in classes.items() if k > 0},
    }


def _exactly(fraction: float) -> Estimate:
    how = "counted in the drawn labels: exact, of this field"
    return Estimate(value=fraction, std=0.0, low=fraction, high=fraction, level=1.0, unit="area fraction", method=how)


def _write_picture(path: Path, image: np.ndarray, pixel_size_nm: float) -> None:
    """Write grey values 0..1 as 16 bits, whole or not at all, at the scale that ImageJ reads."""
    import tifffile

    per_um = 1000.0 / pixel_size_nm
    grey = np.round(65535 * np.clip(image, 0, 1)).astype(np.uint16)
    with atomic_path(path) as temporary:
        tifffile.imwrite(
            temporary, grey, imagej=True, resolution=(per_um, per_um), metadata={"unit": "micron"}
        )  # fmt: skip


def _write_points(path: Path, image: str, truth: Segmentation) -> None:
    assert truth.points is not None
    kind = truth.classes.get(1, "column")
    rows = [(image, kind, number, *place) for number, place in enumerate(truth.points.tolist(), 1)]
    write_csv(path, [dict(zip(POINT_COLUMNS, row)) for row in rows], POINT_COLUMNS)
