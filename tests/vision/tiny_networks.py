"""Tiny networks and pictures for the tests of segmentation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from torch import nn

from hea_sim.registry.cards import DataSource, Score
from hea_vision.segmentation.finishing import save_segmenter
from hea_vision.segmentation.models import TrainedSegmenter
from hea_vision.segmentation.network import MicrographNet

WIDTHS = (16, 24, 32)
PRECIPITATES = {0: "matrix", 1: "small precipitate", 2: "large precipitate"}


def tiny_network(seed: int = 0, n_classes: int = 3, *, contrast: float = 4.0) -> MicrographNet:
    """Make a network whose random head and statistics say different things of different pixels."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = MicrographNet(n_classes, WIDTHS)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_mean, -0.3, 0.3)
                nn.init.uniform_(module.running_var, 0.5, 2.0)
        nn.init.normal_(network.head.weight, std=contrast)
    return network.eval()


def tiny_segmenter(seed: int = 0, **changes: object) -> TrainedSegmenter:
    """Make a segmenter of a tiny network."""
    knobs: dict[str, object] = {"name": "tiny", "task": "areas", "classes": {0: "matrix", 1: "second phase", 2: "pore"}}
    knobs |= changes
    n_classes = len(knobs["classes"])  # type: ignore[arg-type]
    knobs.setdefault("network", tiny_network(seed, n_classes))
    return TrainedSegmenter(**knobs)  # type: ignore[arg-type]


def save_tiny(folder: Path, segmenter: TrainedSegmenter) -> Path:
    """Save a segmenter with a card that says it is one of the tests'."""
    save_segmenter(
        folder,
        segmenter,
        data=[DataSource(name="none", source="random weights", licence="GPL-3.0-or-later")],
        scores={"none": Score(value=0.0, unit="1", how="not scored")},
        seeds={"network": 0},
        remake="tests/vision/tiny_networks.py",
    )
    return folder


def cloudy(seed: int = 0, shape: tuple[int, int] = (64, 64), length_px: float = 2.0) -> np.ndarray:
    """Draw a smooth picture in 0..1, float32."""
    field = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), length_px)
    return ((field - field.min()) / np.ptp(field)).astype(np.float32)


def blobs(seed: int = 0, shape: tuple[int, int] = (96, 96), noise: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """Draw bright blobs on a dark ground; give the picture and its labels 0 and 1."""
    rng = np.random.default_rng(seed)
    labels = (ndimage.gaussian_filter(rng.standard_normal(shape), 5.0) > 0.03).astype(np.uint8)
    picture = 0.3 + 0.4 * ndimage.gaussian_filter(labels.astype(float), 0.7) + noise * rng.standard_normal(shape)
    return picture.astype(np.float32), labels
