"""The network that proposes structure types: a residual convolution over ln q.

It sees a pattern on the grid of `hea_vision.xrd.encoding` and answers, for every structure type apart, how likely it
is there. It knows where on the axis a lattice of the elements' volume would stand through coordinate channels.
"""

from __future__ import annotations

import torch
from torch import nn

from hea_vision.xrd.encoding import CHANNELS, GRID_POINTS, LN_Q, SCALARS

#: Structure types the network answers for: fundamental lattices, in the order of its outputs.
STRUCTURES = (
    "A1", "A2", "A3", "L1_0", "D0_22", "D0_24", "D0_a", "sigma", "C14", "C15", "C36", "mu", "chi", "A13", "A15",
    "C32", "M23C6", "D0_11", "martensite", "B1", "B3", "B4", "H1_1", "D5_1", "C4", "C43", "E2_1", "A4", "D2_1",
)  # fmt: skip
#: Further answers: two lattices of one type, lines of no known structure.
EXTRAS = ("two A1", "two A2", "foreign lines")
OUTPUTS = (*STRUCTURES, *EXTRAS)

_WIDTHS = (24, 40, 64, 96)
_COORDINATE_WAVES = (0.5, 1.0, 2.0, 4.0)


class Residual(nn.Module):
    """Add two convolutions to their input."""

    def __init__(self, channels: int, *, kernel: int = 7, dilation: int = 1) -> None:
        super().__init__()
        pad = dilation * (kernel // 2)
        self.body = nn.Sequential(
            nn.Conv1d(channels, channels, kernel, padding=pad, dilation=dilation, bias=False),
            nn.BatchNorm1d(channels),
            nn.ReLU(inplace=True),
            nn.Conv1d(channels, channels, kernel, padding=pad, dilation=dilation, bias=False),
            nn.BatchNorm1d(channels),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Transform (batch, channels, length) to the same shape."""
        return torch.relu(x + self.body(x))


class PhaseProposer(nn.Module):
    """Map (batch, 3, 2048) patterns and (batch, 6) scalars to (batch, outputs) logits."""

    def __init__(self) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        previous = len(CHANNELS)
        for i, width in enumerate(_WIDTHS):
            kernel = 9 if i == 0 else 5
            stages += [
                nn.Conv1d(previous, width, kernel, stride=2, padding=kernel // 2, bias=False),
                nn.BatchNorm1d(width),
                nn.ReLU(inplace=True),
                Residual(width),
            ]
            previous = width
        self.trunk = nn.Sequential(*stages)
        coordinates = 2 * len(_COORDINATE_WAVES) + 1 + len(SCALARS)
        self.mix = nn.Sequential(
            nn.Conv1d(previous + coordinates, 160, 1, bias=False), nn.BatchNorm1d(160), nn.ReLU(inplace=True)
        )
        self.context = nn.Sequential(*(Residual(160, kernel=5, dilation=d) for d in (1, 3, 6, 2)))
        self.head = nn.Sequential(
            nn.Linear(3 * 160 + len(SCALARS), 256), nn.ReLU(inplace=True), nn.Dropout(0.1), nn.Linear(256, len(OUTPUTS))
        )
        coarse = torch.tensor(LN_Q, dtype=torch.float32).reshape(GRID_POINTS // 2 ** len(_WIDTHS), -1).mean(dim=1)
        self.ln_q: torch.Tensor
        self.register_buffer("ln_q", coarse, persistent=False)

    def forward(self, channels: torch.Tensor, scalars: torch.Tensor) -> torch.Tensor:
        """Compute logits (batch, outputs)."""
        x = self.trunk(channels)
        # ln(q V^(1/3)) is where a line stands apart from the size of the atoms.
        reduced = self.ln_q[None, :] + (scalars[:, 4:5] / 3)
        waves = [reduced - 1.9]
        for wave in _COORDINATE_WAVES:
            waves += [torch.sin(2 * torch.pi * wave * reduced), torch.cos(2 * torch.pi * wave * reduced)]
        spread = scalars[:, :, None].expand(-1, -1, x.shape[2])
        x = self.context(self.mix(torch.cat([x, torch.stack(waves, dim=1), spread], dim=1)))
        weight = torch.softmax(x[:, :40], dim=2).repeat(1, 4, 1)
        pooled = torch.cat([x.mean(dim=2), x.amax(dim=2), (x * weight).sum(dim=2), scalars], dim=1)
        return self.head(pooled)
