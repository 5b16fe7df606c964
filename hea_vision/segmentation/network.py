"""The network that labels micrographs: a U-Net of residual blocks.

Two channels go in: the grey values normalised over the whole image, and normalised by their surroundings, which keeps
faint particles visible beside strong contrast. Batch normalisation works on running statistics and nothing pools over
the field, so that a tile with a wide enough margin gives what the whole image gives.

What comes up is added to what comes across, not stacked beside it (LinkNet), which a processor does in two thirds of
the time. U-Net: doi:10.1007/978-3-319-24574-4_28; residual blocks: doi:10.1109/CVPR.2016.90; LinkNet:
doi:10.1109/VCIP.2017.8305148.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from hea_sim.errors import InputError
from hea_vision.segmentation.vision_ops import torchvision_module

#: Channels that go in: normalised over the image, and over the surroundings.
CHANNELS_IN = 2
#: Widths of the levels, from full resolution down.
WIDTHS = (16, 32, 64, 128, 160)
#: Narrower levels overrun memory in the backward pass of torch 2.13 on processors (channels last, fewer channels than
#: a vector register holds).
LEAST_WIDTH = 16


class MicrographNet(nn.Module):
    """Give class scores (batch, classes, rows, columns) for inputs (batch, 2, rows, columns).

    Rows and columns are multiples of `stride`.
    """

    def __init__(self, n_classes: int, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        if len(widths) < 2 or min(widths) < LEAST_WIDTH:
            raise InputError(f"network of widths {tuple(widths)}; wanted at least two, each at least {LEAST_WIDTH}")
        ops: Any = torchvision_module("ops")
        resnet: Any = torchvision_module("models.resnet")
        self.n_classes, self.widths = n_classes, tuple(widths)
        self.stem = ops.Conv2dNormActivation(CHANNELS_IN, widths[0], 3)
        self.down = nn.ModuleList()
        for narrow, wide in zip((widths[0], *widths[:-1]), widths):
            step = 1 if not len(self.down) else 2
            skip = None
            if step > 1 or narrow != wide:
                skip = nn.Sequential(nn.Conv2d(narrow, wide, 1, stride=step, bias=False), nn.BatchNorm2d(wide))
            self.down.append(resnet.BasicBlock(narrow, wide, step, skip))
        self.deepest = resnet.BasicBlock(widths[-1], widths[-1], dilation=1)
        pairs = list(zip(widths[-2::-1], widths[:0:-1]))
        self.narrow = nn.ModuleList(ops.Conv2dNormActivation(wide, narrow, 1) for narrow, wide in pairs)
        self.up = nn.ModuleList(ops.Conv2dNormActivation(narrow, narrow, 3) for narrow, _ in pairs)
        self.smooth = ops.Conv2dNormActivation(widths[0], widths[0], 3)
        self.head = nn.Conv2d(widths[0], n_classes, 1)

    @property
    def stride(self) -> int:
        """Give the number that rows and columns must be multiples of."""
        return int(2 ** (len(self.widths) - 1))

    @property
    def margin_px(self) -> int:
        """Give how far a pixel's score reaches, in pixels, rounded up to a multiple of `stride`.

        Every 3 x 3 convolution at a level of step s adds s pixels; interpolation between levels adds its own step.
        """
        reach = 1 + 2  # stem and the first block, at full resolution
        for level in range(1, len(self.widths)):
            reach += 2 ** (level - 1) + 2**level  # the two convolutions of a block, the first on the finer grid
        reach += 2 * 2 ** (len(self.widths) - 1)
        for level in range(len(self.widths) - 1):
            reach += 2 ** (level + 1) + 2**level  # interpolation from the coarser grid, and a convolution
        reach += 1
        return -(-reach // self.stride) * self.stride

    def features(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Give what the decoder knows at every level, from the coarsest to full resolution."""
        skips = []
        x = self.stem(x)
        for block in self.down:
            x = block(x)
            skips.append(x)
        x = self.deepest(skips.pop())
        levels = [x]
        for narrow, block in zip(self.narrow, self.up):
            x = functional.interpolate(narrow(x), scale_factor=2.0, mode="bilinear", align_corners=False)
            x = block(x + skips.pop())
            levels.append(x)
        levels[-1] = self.smooth(x)
        return levels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Score the classes of every pixel."""
        return self.head(self.features(x)[-1])
