"""The real labelled micrographs: which images train, validate and test, and how their masks are read.

The splits of ni_superalloy and ebc_oxide are the published ones; cr_superalloy has none, its four folds by image are
fixed here. Test images are read by the scores alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as iio
import numpy as np

from hea_vision.io._files import quiet
from hea_vision.segmentation.examples import LabelledImage

NI_CLASSES = {0: "matrix", 1: "small precipitate", 2: "large precipitate"}
CR_CLASSES = {0: "matrix", 2: "precipitate"}
EBC_CLASSES = {0: "background", 1: "oxide", 2: "crack"}
#: Published split "EBC2"; what is not named here trains.
EBC_VAL = ("040617#3_S0410019", "050317#3_S0440026", "070516#3_S2470003")
EBC_TEST = ("040617#2_S127(2)0015", "050317#3_S0440016", "070516#1_S1160030")
SUPER2_TRAIN = ("spot6", "spot7")
SUPER3_TRAIN = ("spot7_180d_3",)
CR_FOLDS = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """Hold named pictures of one benchmark split."""

    train: dict[str, LabelledImage]
    val: dict[str, LabelledImage]
    test: dict[str, LabelledImage]


def grey(path: Path) -> np.ndarray:
    """Read a picture as grey values (rows, columns) float32."""
    image = np.asarray(iio.imread(path), np.float32)
    return image[..., :3].mean(axis=2) if image.ndim == 3 else image


def ni_labels(path: Path) -> np.ndarray:
    """Read RGBA masks: pure red is small, pure blue large gamma prime; the type's maximum is full."""
    with quiet():
        mask = np.asarray(iio.imread(path))
    top = np.iinfo(mask.dtype).max
    red, green, blue = (mask[..., k] == top for k in range(3))
    none = [mask[..., k] == 0 for k in range(3)]
    labels = np.zeros(mask.shape[:2], np.uint8)
    labels[red & none[1] & none[2]] = 1
    labels[blue & none[0] & none[1]] = 2
    return labels


def cr_labels(path: Path) -> np.ndarray:
    """Read RGB masks: green is precipitate, maroon matrix."""
    mask = np.asarray(iio.imread(path)).astype(int)
    return np.where(mask[..., 1] > mask[..., 0], 2, 0).astype(np.uint8)


def ebc_labels(path: Path) -> np.ndarray:
    """Read masks of class numbers."""
    return np.asarray(iio.imread(path)).astype(np.uint8)


def ni_superalloy(data: Path, benchmark: str = "Super1") -> Split:
    """Give Super1 (10 training images), Super2 (4) or Super3 (1); all share validation spot1 and test spot2."""
    folder = data / "micrographs" / "ni_superalloy"
    pictures = {
        p.stem: LabelledImage(
            image=grey(p), labels=ni_labels(folder / "masks" / f"{p.stem}_mask.tif"), classes=NI_CLASSES
        )
        for p in sorted((folder / "images").glob("*.tif"))
    }
    wanted: dict[str, Callable[[str], bool]] = {
        "Super1": lambda name: not name.startswith(("spot1", "spot2")),
        "Super2": lambda name: name.startswith(SUPER2_TRAIN),
        "Super3": lambda name: name in SUPER3_TRAIN,
    }
    return Split(
        train={n: p for n, p in pictures.items() if wanted[benchmark](n)},
        val={n: p for n, p in pictures.items() if n.startswith("spot1")},
        test={n: p for n, p in pictures.items() if n.startswith("spot2")},
    )


def cr_superalloy(data: Path, fold: int) -> Split:
    """Give fold 0 to 3: every fourth image tests, the next one validates, the rest train."""
    folder = data / "micrographs" / "cr_superalloy"
    paths = sorted((folder / "images").glob("*.png"), key=lambda p: int(p.stem))
    pictures = {
        p.stem: LabelledImage(image=grey(p), labels=cr_labels(folder / "masks" / p.name), classes=CR_CLASSES)
        for p in paths
    }
    names = list(pictures)
    test, val = names[fold::CR_FOLDS], names[(fold + 1) % CR_FOLDS :: 2 * CR_FOLDS]
    return Split(
        train={n: p for n, p in pictures.items() if n not in test and n not in val},
        val={n: pictures[n] for n in val},
        test={n: pictures[n] for n in test},
    )


def ebc_oxide(data: Path) -> Split:
    """Give EBC2: four training, three validation and three test images."""
    folder = data / "micrographs" / "ebc_oxide"
    pictures = {
        p.stem: LabelledImage(image=grey(p), labels=ebc_labels(folder / "masks" / p.name), classes=EBC_CLASSES)
        for p in sorted((folder / "images").glob("*.tif"))
    }
    return Split(
        train={n: p for n, p in pictures.items() if n not in EBC_VAL + EBC_TEST},
        val={n: pictures[n] for n in EBC_VAL},
        test={n: pictures[n] for n in EBC_TEST},
    )
