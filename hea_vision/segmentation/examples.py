"""What the networks learn from: virtual micrographs drawn on the way, and labelled pictures under changed conditions.

Every example has its own number, and its random generator comes from (seed, number) alone, so that a run is the same
for any number of workers, and a resumed run goes on as if it had not stopped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from scipy import ndimage

from hea_sim.errors import HEAError, InputError
from hea_sim.microscopy.noise_fields import smooth_noise
from hea_sim.microscopy.random_fields import draw_field
from hea_vision.segmentation.inputs import network_input
from hea_vision.segmentation.partial_labels import IGNORED
from hea_vision.segmentation.vision_ops import torchvision_module


@dataclass(frozen=True, kw_only=True, eq=False)
class Example:
    """Hold one example: `channels` (2, rows, columns) float32, `labels` (rows, columns) uint8, `allowed`.

    `allowed[t, c]` (labels, classes) is 1 where label t may stand for class c (see `partial_labels`).
    """

    channels: np.ndarray
    labels: np.ndarray
    allowed: np.ndarray


class ExampleSource(Protocol):
    """Make examples of a square of `size` pixels."""

    def draw(self, rng: np.random.Generator, size: int) -> Example:
        """Draw one example; everything random comes from `rng`."""

    def fingerprint(self) -> str:
        """Tell this source from any other that draws other examples."""


@dataclass(frozen=True, kw_only=True)
class VirtualSource:
    """Draw virtual micrographs of one kind; `classes` are those of the network."""

    kind: str
    n_classes: int

    def fingerprint(self) -> str:
        """Give the kind and the number of classes."""
        return f"virtual {self.kind} {self.n_classes}"

    def draw(self, rng: np.random.Generator, size: int) -> Example:
        """Draw a virtual micrograph; a scene without room for what was drawn is drawn again."""
        while True:
            try:
                drawn = draw_field(self.kind, rng, (size, size))
            except HEAError:
                continue
            if np.ptp(drawn.image) > 0:
                break
        image = np.asarray(drawn.image, np.float32)
        return Example(
            channels=network_input(image),
            labels=np.array(drawn.labels, np.uint8),
            allowed=allowed_of(drawn.classes, self.n_classes),
        )


def allowed_of(classes: Mapping[int, str], n_classes: int) -> np.ndarray:
    """Say which classes each label may stand for: a lone population of precipitates may be small or large.

    >>> allowed_of({0: "matrix", 2: "precipitate"}, 3).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 1.0, 1.0]]
    """
    allowed = np.zeros((n_classes, n_classes), np.float32)
    for number, name in classes.items():
        allowed[number, number] = 1.0
        if name == "precipitate":
            allowed[number, [c for c in range(1, n_classes) if c not in classes]] = 1.0
    return allowed


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledImage:
    """Hold one labelled picture: `image` (rows, columns), `labels` (rows, columns) with `IGNORED` where nobody judged.

    `classes` names the labels that occur; see `allowed_of`. `weight` says how often it is shown beside others of the
    same size.
    """

    image: np.ndarray
    labels: np.ndarray
    classes: Mapping[int, str]
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.image.shape != self.labels.shape or self.image.ndim != 2:
            raise InputError(
                f"labelled image: image of shape {self.image.shape}, labels of shape {self.labels.shape};"
                " wanted one (rows, columns) for both"
            )
        unknown = set(np.unique(self.labels).tolist()) - set(self.classes) - {IGNORED}
        if unknown:
            raise InputError(f"labelled image: label {min(unknown)} has no name; wanted a name for every label")


@dataclass(frozen=True, kw_only=True, eq=False)
class PictureSource:
    """Draw crops of labelled pictures, turned, mirrored, resized, in other light and with other noise.

    Pictures that are `upright` are not turned. Of `balanced_share` of the crops the middle is a pixel of a class that
    is drawn first, each with the same chance.
    """

    pictures: Sequence[LabelledImage]
    n_classes: int
    scales: tuple[float, float] = (0.6, 1.5)
    strength: float = 1.0
    inverted_share: float = 0.0
    upright: bool = False
    balanced_share: float = 0.0
    _weights: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.pictures:
            raise InputError("training: no labelled picture was given; wanted at least one")
        often = np.array([p.weight * np.sqrt(p.image.size) for p in self.pictures])
        object.__setattr__(self, "_weights", often / often.sum())

    def fingerprint(self) -> str:
        """Give the SHA-256 of the pictures, their labels and how they are changed."""
        found = hashlib.sha256(
            repr((self.n_classes, self.scales, self.strength, self.inverted_share, self._weights.tolist())).encode()
        )
        if self.upright or self.balanced_share:
            found.update(repr((self.upright, self.balanced_share)).encode())
        for picture in self.pictures:
            found.update(np.ascontiguousarray(picture.image).tobytes())
            found.update(np.ascontiguousarray(picture.labels).tobytes())
            found.update(repr(sorted(picture.classes.items())).encode())
        return f"pictures {found.hexdigest()}"

    def draw(self, rng: np.random.Generator, size: int) -> Example:
        """Draw a crop and change its geometry and its conditions."""
        picture = self.pictures[int(rng.choice(len(self.pictures), p=self._weights))]
        image = np.asarray(picture.image, np.float32)
        spread = float(image.std()) or 1.0
        balanced = self.balanced_share > 0 and rng.random() < self.balanced_share
        about = _pixel_of_a_class(picture.labels, rng) if balanced else None
        image, labels = _other_place(
            (image - float(image.mean())) / spread, picture.labels, self.scales, size, rng, self.upright, about
        )
        image = _other_conditions(image, labels, self.strength, rng)
        if rng.random() < self.inverted_share:
            image = -image
        if np.ptp(image) == 0:
            image = image + 1e-3 * rng.standard_normal(image.shape, dtype=np.float32)
        return Example(
            channels=network_input(image), labels=labels, allowed=allowed_of(picture.classes, self.n_classes)
        )


def _pixel_of_a_class(labels: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
    """Draw a class that is there, then one of its pixels."""
    there = [int(c) for c in np.unique(labels) if c != IGNORED]
    if not there:
        return labels.shape[0] // 2, labels.shape[1] // 2
    places = np.flatnonzero(labels == rng.choice(there))
    row, column = divmod(int(rng.choice(places)), labels.shape[1])
    return row, column


def _other_place(
    image: np.ndarray,
    labels: np.ndarray,
    scales: tuple[float, float],
    size: int,
    rng: np.random.Generator,
    upright: bool,
    about: tuple[int, int] | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Cut out a square of another place, angle and magnification; what lies outside is judged by nobody."""
    v2: Any = torchvision_module("transforms.v2")
    tv_tensors: Any = torchvision_module("tv_tensors")
    scale = float(np.exp(rng.uniform(*np.log(scales))))
    turned = rng.random() < 0.6 and not upright
    side = int(np.ceil(size / scale * (1.45 if turned else 1.0))) + 2
    rows, columns = image.shape
    top = int(rng.integers(0, max(1, rows - side + 1)))
    left = int(rng.integers(0, max(1, columns - side + 1)))
    if about is not None:
        top, left = (
            int(np.clip(middle - side // 2 + rng.integers(-size // 4, size // 4 + 1), 0, max(0, most - side)))
            for middle, most in zip(about, (rows, columns), strict=True)
        )
    window = (slice(top, top + side), slice(left, left + side))
    # A crop to be enlarged is smaller than what comes out, and torchvision would fill it up with zeros: matrix.
    room = [(short // 2, short - short // 2) for short in (max(0, size - n) for n in image[window].shape)]
    pair = (
        tv_tensors.Image(torch.from_numpy(np.pad(image[window], room))[None]),
        tv_tensors.Mask(torch.from_numpy(np.pad(labels[window], room, constant_values=IGNORED))[None]),
    )
    fill = {tv_tensors.Image: 0.0, tv_tensors.Mask: IGNORED}
    angle = float(rng.uniform(-180, 180)) if turned else 90.0 * int(rng.integers(4))
    if upright:
        angle = float(rng.uniform(-6, 6))
    shear = float(rng.uniform(-8, 8)) if turned else 0.0
    change = v2.Compose(
        [
            v2.RandomHorizontalFlip(float(rng.random() < 0.5)),
            v2.RandomAffine((angle, angle), scale=(scale, scale), shear=(shear, shear), fill=fill,
                            interpolation=v2.InterpolationMode.BILINEAR),
            v2.CenterCrop(size),
        ]
    )  # fmt: skip
    seen, truth = change(*pair)
    picture, mask = np.array(seen[0], np.float32), np.array(truth[0], np.uint8)
    if picture.shape != (size, size):
        raise InputError(f"training: a crop of {size} px came out as {picture.shape}; give larger pictures")
    return picture, mask


def _other_conditions(image: np.ndarray, labels: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Change light, contrast between the classes, sharpness and noise, in units of the image's standard deviation."""
    shape = (image.shape[0], image.shape[1])
    if rng.random() < 0.6 * strength:  # other contrast between the classes, which a detector or an etchant gives
        for number in np.unique(labels):
            if number not in (0, IGNORED):
                soft = ndimage.gaussian_filter((labels == number).astype(np.float32), rng.uniform(0.5, 1.5))
                image = image + np.float32(rng.uniform(-0.5, 0.7) * strength) * soft
    if rng.random() < 0.5 * strength:
        low = float(image.min())
        span = max(float(np.ptp(image)), 1e-6)
        image = span * ((image - low) / span) ** np.float32(np.exp(0.3 * rng.standard_normal()))
    if rng.random() < 0.5 * strength:
        image = image + np.float32(rng.uniform(0, 0.6)) * smooth_noise(rng, shape, float(rng.uniform(100, 700)))
    if rng.random() < 0.35 * strength:
        image = ndimage.gaussian_filter(image, rng.uniform(0.3, 1.4))
    if rng.random() < 0.6 * strength:
        white = rng.standard_normal(shape, dtype=np.float32)
        if rng.random() < 0.4:
            white = ndimage.gaussian_filter(white, (0.4, rng.uniform(0.4, 1.2)))
            white /= max(float(white.std()), 1e-6)
        image = image + np.float32(np.exp(rng.uniform(np.log(0.05), np.log(0.9)))) * white
    return np.asarray(image, np.float32)


class MixedExamples(torch.utils.data.Dataset):
    """Serve examples by number, each from one of several sources by its share."""

    def __init__(
        self, sources: Sequence[tuple[float, ExampleSource]], *, size: int, seed: int, first: int, count: int
    ) -> None:
        self.sources, self.size, self.seed, self.first, self.count = list(sources), size, seed, first, count
        shares = np.array([share for share, _ in sources], float)
        if not len(shares) or not (shares >= 0).all() or not shares.sum() > 0:
            raise InputError(f"training: shares {shares.tolist()} of the sources; wanted numbers >= 0, one above 0")
        self._shares = shares / shares.sum()

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rng = np.random.default_rng([self.seed, self.first + index])
        source = self.sources[int(rng.choice(len(self.sources), p=self._shares))][1]
        with torch.random.fork_rng(devices=[]):  # torchvision draws from torch's own generator
            torch.manual_seed(int(rng.integers(2**31)))
            made = source.draw(rng, self.size)
        return made.channels, made.labels, made.allowed
