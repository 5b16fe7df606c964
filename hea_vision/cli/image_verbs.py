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
from hea_sim.records import Provenance, Segmentation
from hea_vision.cli.printing import print_json
from hea_vision.jobs import read_job


def image(subject: str, out: Path, config: Path | None, flags: Mapping[str, Any], json: bool) -> int:
    """Draw virtual micrographs, and write each with its labels and columns."""
    from hea_vision.batch import make_folder
    from hea_vision.image_jobs import ImageJob

    job = read_job(ImageJob, config, flags)
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


def _draw(subject: str, number: int, job: Any) -> VirtualMicrograph:
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
    import tifffile

    from hea_vision.io import write_labels

    per_um = 1000.0 / drawn.pixel_size_nm
    grey = np.round(65535 * np.clip(drawn.image, 0, 1)).astype(np.uint16)
    tifffile.imwrite(
        out / f"{name}.tif", grey, imagej=True, resolution=(per_um, per_um), metadata={"unit": "micron"}
    )  # fmt: skip
    truth = Segmentation(
        labels=drawn.labels, classes=dict(drawn.classes), pixel_size_nm=drawn.pixel_size_nm, model="truth"
    )
    (out / "labels").mkdir(exist_ok=True)
    write_labels(out / "labels" / f"{name}.tif", truth)
    row: dict[str, Any] = {
        "image": f"{name}.tif",
        "labels": f"labels/{name}.tif",
        "classes": drawn.classes,
        "pixel_size_nm": drawn.pixel_size_nm,
        "seed": seed,
        "fractions": {n: drawn.area_fraction(n) for k, n in drawn.classes.items() if k > 0},
    }
    if drawn.points is not None:
        row["points"] = f"{name}_columns.csv"
        columns = ("row_px", "column_px", "intensity")
        write_csv(out / row["points"], [dict(zip(columns, p)) for p in drawn.points.tolist()], columns)
    return row
