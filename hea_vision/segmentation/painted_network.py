"""A light classifier on deep features: what is learnt from a few strokes of paint.

What that network itself believes counts as an opinion: where it fits the strokes they only have to correct it. The
features are the network's, at four resolutions, beside plain filters: grey values, Gaussians, gradients, curvatures.
Only the small heads on top learn, several of them from different random beginnings; their mean is the answer.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from hea_vision.segmentation.network import MicrographNet

#: Standard deviations of the plain filters, in pixels.
SCALES_PX = (1.0, 2.0, 4.0, 8.0)
_TRUNCATE = 3.0
HIDDEN, HEADS = 24, 4


class PaintedNet(nn.Module):
    """Give class scores like `MicrographNet`; `base` is frozen."""

    def __init__(self, n_classes: int, base: MicrographNet) -> None:
        super().__init__()
        self.n_classes, self.base = n_classes, base.requires_grad_(False)
        n = 2 + 4 * len(SCALES_PX) + sum(base.widths[:-1])
        self.register_buffer("feature_mean", torch.zeros(n))
        self.register_buffer("feature_std", torch.ones(n))
        self.first = nn.Conv2d(n, HEADS * HIDDEN, 1)
        self.second = nn.Conv2d(HEADS * HIDDEN, HEADS * n_classes, 1, groups=HEADS)
        self.opinion = nn.Conv2d(base.n_classes, n_classes, 1)
        for parameter in self.opinion.parameters():
            nn.init.zeros_(parameter)

    @property
    def widths(self) -> tuple[int, ...]:
        """Give the widths of the base."""
        return self.base.widths

    @property
    def stride(self) -> int:
        """Give the number that rows and columns must be multiples of."""
        return self.base.stride

    @property
    def margin_px(self) -> int:
        """Give how far a pixel's score reaches, in pixels."""
        return max(self.base.margin_px, -(-int(_TRUNCATE * SCALES_PX[-1] + 2) // self.stride) * self.stride)

    def train(self, mode: bool = True) -> PaintedNet:
        """Leave the base as it is, whatever the heads do."""
        super().train(mode)
        self.base.eval()
        return self

    def features(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Give the base's levels, from the coarsest to full resolution."""
        return self.base.features(x)

    def pixel_features(self, x: torch.Tensor) -> torch.Tensor:
        """Give every feature of every pixel (batch, features, rows, columns), not normalised.

        The last `base.n_classes` of them are the log probabilities that the base itself gives.
        """
        levels = self.base.features(x)
        deep = [
            level
            if level.shape[-2:] == x.shape[-2:]
            else functional.interpolate(level, size=x.shape[-2:], mode="bilinear", align_corners=False)
            for level in levels[1:]
        ]
        believed = torch.log_softmax(self.base.head(levels[-1]).float(), 1).clamp(min=-8)
        return torch.cat([x, *plain_filters(x[:, :1]), *deep, believed], 1)

    def heads(self, features: torch.Tensor) -> torch.Tensor:
        """Score normalised features: (batch, heads, classes, rows, columns)."""
        n = self.base.n_classes
        raw = self.second(torch.relu(self.first(features[:, :-n])))
        return raw.unflatten(1, (HEADS, self.n_classes)) + self.opinion(features[:, -n:])[:, None]

    def head(self, features: torch.Tensor) -> torch.Tensor:
        """Turn normalised features into the log of the heads' mean probability (batch, classes, rows, columns)."""
        return torch.logsumexp(torch.log_softmax(self.heads(features), 2), 1) - float(np.log(HEADS))

    def normalised(self, features: torch.Tensor) -> torch.Tensor:
        """Subtract mean, divide by spread over the painted images, and clip; the base's beliefs stay as they are."""
        n, shape = self.base.n_classes, (1, -1, 1, 1)
        z = (features[:, :-n] - self.feature_mean.view(shape)) / self.feature_std.view(shape)  # type: ignore[operator]
        return torch.cat([z.clamp(-6, 6), features[:, -n:]], 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Score the classes of every pixel."""
        return self.head(self.normalised(self.pixel_features(x)))


def plain_filters(grey: torch.Tensor) -> list[torch.Tensor]:
    """Give Gaussian, gradient and the two curvatures at every scale, of (batch, 1, rows, columns)."""
    found = []
    for sigma in SCALES_PX:
        soft = _gaussian(grey, sigma)
        edge = functional.pad(soft, (1, 1, 1, 1), mode="replicate")
        dy = (edge[..., 2:, 1:-1] - edge[..., :-2, 1:-1]) * (sigma / 2)
        dx = (edge[..., 1:-1, 2:] - edge[..., 1:-1, :-2]) * (sigma / 2)
        yy = (edge[..., 2:, 1:-1] + edge[..., :-2, 1:-1] - 2 * soft) * sigma**2
        xx = (edge[..., 1:-1, 2:] + edge[..., 1:-1, :-2] - 2 * soft) * sigma**2
        xy = (edge[..., 2:, 2:] + edge[..., :-2, :-2] - edge[..., 2:, :-2] - edge[..., :-2, 2:]) * (sigma**2 / 4)
        half, apart = (yy + xx) / 2, torch.sqrt(((yy - xx) / 2) ** 2 + xy**2 + 1e-12)
        found += [soft, torch.sqrt(dy**2 + dx**2 + 1e-12), half + apart, half - apart]
    return found


def _gaussian(grey: torch.Tensor, sigma: float) -> torch.Tensor:
    reach = int(_TRUNCATE * sigma + 0.5)
    x = torch.arange(-reach, reach + 1, dtype=grey.dtype, device=grey.device)
    kernel = torch.exp(-(x**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    # "replicate", since a mirror needs an image larger than the kernel.
    rows = functional.conv2d(functional.pad(grey, (0, 0, reach, reach), mode="replicate"), kernel.view(1, 1, -1, 1))
    return functional.conv2d(functional.pad(rows, (reach, reach, 0, 0), mode="replicate"), kernel.view(1, 1, 1, -1))


def load_painted(arrays: Mapping[str, np.ndarray], n_classes: int, widths: tuple[int, ...]) -> PaintedNet:
    """Make a painted network of stored arrays."""
    net = PaintedNet(n_classes, MicrographNet(_classes_of_base(arrays), widths))
    given = {
        n: torch.from_numpy(np.array(a, np.float32 if a.dtype.kind == "f" else a.dtype)) for n, a in arrays.items()
    }
    net.load_state_dict(given)
    return net.eval()


def _classes_of_base(arrays: Mapping[str, np.ndarray]) -> int:
    return len(arrays["base.head.bias"])
