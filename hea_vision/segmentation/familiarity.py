"""Whether an image is of the kind that a model knows.

What the network makes of an image is summed up in a few numbers: the mean and the spread of its features over the
field, and how undecided it is. Images that the model was made for form a cloud; the distance from that cloud, in units
of the distance that all but a few of them keep, is the `unfamiliarity`. Above 1 the image is flagged.

| symbol | here |
|---|---|
| x | `describe`: features of one image |
| m, V | mean of the known images, their main directions scaled to unit variance: `mean`, `axes` |
| r | what lies off these directions, in units of its usual size |
| d^2 = |V (x - m)|^2 + r^2 | squared distance (Mahalanobis, with one number for the rest) |
| unfamiliarity | d / `limit` |
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from hea_sim.errors import InputError
from hea_vision.segmentation.inputs import network_input
from hea_vision.segmentation.network import MicrographNet
from hea_vision.segmentation.painted_network import PaintedNet
from hea_vision.segmentation.tiles import padded

#: An image is described by windows of this edge, spread evenly; their median counts.
WINDOW_PX = 256
_WINDOWS = 4


@torch.inference_mode()
def describe(network: MicrographNet | PaintedNet, image: np.ndarray) -> np.ndarray:
    """Sum up what a network makes of an image, as (features,) float64.

    Evenly spread windows are described one by one, each normalised by itself; the median of each feature counts.
    """
    device = next(network.parameters()).device
    found = []
    for window in _windows((image.shape[0], image.shape[1])):
        try:
            channels = padded(network_input(np.asarray(image[window], np.float32)), network.stride)
        except InputError:
            continue  # a window of one grey value says nothing
        x = torch.from_numpy(channels)[None].to(device).contiguous(memory_format=torch.channels_last)
        levels = network.features(x)
        # A painted network looks at more than the levels of its base.
        scores = network.head(levels[-1]) if isinstance(network, MicrographNet) else network(x)
        p = torch.softmax(scores, 1)
        undecided = 1 - p.amax(1)
        numbers = [undecided.mean(), undecided.std(correction=0), *p.mean((0, 2, 3))]
        for level in (levels[0], levels[2], levels[-1]):
            numbers += [*level.mean((0, 2, 3)), *level.std((0, 2, 3), correction=0)]
        found.append(torch.stack([n.float() for n in numbers]).cpu().numpy())
    if not found:
        raise InputError("the image has one grey value only; wanted a micrograph")
    return np.median(np.asarray(found, np.float64), axis=0)


def _windows(shape: tuple[int, int]) -> list[tuple[slice, slice]]:
    places = []
    for n in shape:
        if n <= WINDOW_PX:
            places.append([slice(0, n)])
            continue
        count = min(_WINDOWS, -(-n // WINDOW_PX))
        starts = np.linspace(0, n - WINDOW_PX, count).astype(int)
        places.append([slice(int(s), int(s) + WINDOW_PX) for s in starts])
    return [(a, b) for a in places[0] for b in places[1]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Familiarity:
    """Hold the cloud of known images: `mean`, `scale` (features,), `axes` (k, features), `rest` and `limit`."""

    mean: np.ndarray
    scale: np.ndarray
    axes: np.ndarray
    rest: float
    limit: float

    @classmethod
    def fit(cls, known: np.ndarray, judged: np.ndarray, *, share: float = 0.98, directions: int = 12) -> Familiarity:
        """Fit the cloud to descriptions of known images, and the limit to others of the same kind.

        Parameters
        ----------
        known
            (images, features).
        judged
            (images, features) of known kinds that the fit does not see; a part `share` of them shall stay below 1.
        """
        mean, scale = known.mean(0), known.std(0) + 1e-6
        z = (known - mean) / scale
        _, values, vectors = np.linalg.svd(z, full_matrices=False)
        k = min(directions, max(1, len(known) // 4))
        axes = vectors[:k] / (values[:k, None] / np.sqrt(len(known)) + 1e-6)
        off = z - (z @ vectors[:k].T) @ vectors[:k]
        rest = float(np.sqrt(np.mean((off**2).sum(1)))) + 1e-6
        cloud = cls(mean=mean, scale=scale, axes=axes, rest=rest, limit=1.0)
        limit = float(np.quantile([cloud.distance(x) for x in judged], share))
        return cls(mean=mean, scale=scale, axes=axes, rest=rest, limit=limit)

    def distance(self, description: np.ndarray) -> float:
        """Give the distance of a description from the cloud, in units of `limit`."""
        z = (description - self.mean) / self.scale
        along = self.axes @ z
        # The axes are main directions, so what they do not see is what their plane leaves.
        flat = self.axes / np.linalg.norm(self.axes, axis=1, keepdims=True)
        off = z - flat.T @ (flat @ z)
        return float(np.sqrt((along**2).sum() + (off @ off) / self.rest**2) / self.limit)

    def arrays(self) -> dict[str, np.ndarray]:
        """Give the numbers as arrays."""
        return {
            "mean": self.mean.astype(np.float32),
            "scale": self.scale.astype(np.float32),
            "axes": self.axes.astype(np.float32),
            "rest_limit": np.array([self.rest, self.limit], np.float64),
        }

    @classmethod
    def of_arrays(cls, arrays: dict[str, np.ndarray]) -> Familiarity:
        """Make it again of what `arrays` gave."""
        rest, limit = (float(v) for v in arrays["rest_limit"])
        return cls(
            mean=arrays["mean"].astype(float),
            scale=arrays["scale"].astype(float),
            axes=arrays["axes"].astype(float),
            rest=rest,
            limit=limit,
        )
