"""Learn a segmenter from a few strokes of paint, in seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import nn

from hea_sim.errors import InputError
from hea_sim.records import Micrograph
from hea_vision.segmentation.inputs import network_input
from hea_vision.segmentation.models import TrainedSegmenter, load_segmenter
from hea_vision.segmentation.network import MicrographNet
from hea_vision.segmentation.painted_network import PaintedNet
from hea_vision.segmentation.tiles import padded

#: The network whose features are used where nobody names another.
DEFAULT_FEATURES = "precipitates-virtual"
_STEPS = 250
_RATE, _DECAY, _LEFT_OUT = 0.005, 0.3, 0.4
_MOST_PIXELS = 12_000
_STATISTICS_PIXELS = 4_000


def learn_from_strokes(
    painted: Sequence[tuple[Micrograph, np.ndarray]],
    classes: Mapping[int, str],
    *,
    name: str = "painted",
    features: str = DEFAULT_FEATURES,
    seed: int = 0,
    device: str = "cpu",
) -> TrainedSegmenter:
    """Learn from strokes on one image or several; always from the beginning, on all strokes that are given.

    Parameters
    ----------
    painted
        Images with their strokes: (rows, columns) whole numbers, 0 where nothing was painted, else 1 + the class.
    classes
        Names by class number from 0, the matrix first.
    features
        The trained segmenter whose features are used.
    seed
        Of the heads' random beginnings.

    Raises
    ------
    InputError
        Where strokes and image differ in shape, a class has no stroke, or a stroke has no class.
    """
    numbers = sorted(classes)
    if numbers != list(range(len(numbers))) or len(numbers) < 2:
        raise InputError(f"classes {dict(classes)}; wanted at least two, numbered from 0")
    _check(painted, classes)
    base = load_segmenter(features, device).network
    if not isinstance(base, MicrographNet):
        raise InputError(f"features '{features}' were painted themselves; name a trained network: {DEFAULT_FEATURES}")
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = PaintedNet(len(numbers), base).to(device)
    x, target = _gather(net, painted, rng, device)
    _fit(net, x, target, rng)
    return TrainedSegmenter(name=name, task="areas", classes=dict(classes), network=net.eval())


def _check(painted: Sequence[tuple[Micrograph, np.ndarray]], classes: Mapping[int, str]) -> None:
    if not painted:
        raise InputError("nothing was painted; wanted at least one image with strokes")
    seen: set[int] = set()
    for micrograph, strokes in painted:
        strokes = np.asarray(strokes)
        if strokes.shape != micrograph.image.shape or strokes.dtype.kind not in "ui":
            raise InputError(
                f"{micrograph.source or 'image'}: strokes are {strokes.dtype} of shape {strokes.shape}; wanted whole"
                f" numbers of the image's shape {micrograph.image.shape}"
            )
        seen |= set(np.unique(strokes).tolist()) - {0}
    wanted = {n + 1 for n in classes}
    if seen - wanted:
        raise InputError(f"stroke {min(seen - wanted)} belongs to no class; wanted 1 to {max(wanted)}, 0 for no paint")
    if wanted - seen:
        raise InputError(f"class '{classes[min(wanted - seen) - 1]}' has no stroke; paint at least one for every class")


@torch.inference_mode()
def _gather(
    net: PaintedNet, painted: Sequence[tuple[Micrograph, np.ndarray]], rng: np.random.Generator, device: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Collect the features of the painted pixels, and set the features' mean and spread from all pixels."""
    found, targets, everywhere = [], [], []
    for micrograph, strokes in painted:
        image = np.asarray(micrograph.image, np.float32)
        channels = torch.from_numpy(padded(network_input(image), net.stride))[None].to(device)
        f = net.pixel_features(channels)[0][:, : image.shape[0], : image.shape[1]]
        row, column = np.nonzero(strokes)
        pick = rng.permutation(len(row))[: _MOST_PIXELS // len(painted)]
        found.append(f[:, row[pick], column[pick]].T.clone())
        targets.append(torch.from_numpy(np.asarray(strokes, np.int64)[row[pick], column[pick]] - 1))
        flat = f.flatten(1)
        everywhere.append(flat[:, torch.from_numpy(rng.integers(0, flat.shape[1], _STATISTICS_PIXELS))].T.clone())
    whole = torch.cat(everywhere)
    n = net.base.n_classes
    net.feature_mean.copy_(whole[:, :-n].mean(0))  # type: ignore[operator]
    net.feature_std.copy_(whole[:, :-n].std(0) + 1e-3)  # type: ignore[operator]
    x = net.normalised(torch.cat(found)[:, :, None, None])[..., 0, 0]
    return x.clone(), torch.cat(targets).to(device)


def _fit(net: PaintedNet, x: torch.Tensor, target: torch.Tensor, rng: np.random.Generator) -> None:
    """Train the heads; classes count alike, however much of each was painted.

    The base's opinion is weighed freely, since it has few weights; the heads see noisy features of which many are left
    out, so that a few strokes are not learnt by heart.
    """
    count = torch.bincount(target, minlength=net.n_classes).float()
    weight = (len(target) / (net.n_classes * count.clamp(min=1))) ** 0.5
    optimiser = torch.optim.AdamW(
        [
            {"params": [*net.first.parameters(), *net.second.parameters()], "lr": _RATE, "weight_decay": _DECAY},
            {"params": list(net.opinion.parameters()), "lr": 3 * _RATE, "weight_decay": 0.0},
        ]
    )
    rates = [group["lr"] for group in optimiser.param_groups]
    x, target = x.clone(), target.clone()
    n = net.base.n_classes
    net.train()
    for step in range(_STEPS):
        pick = torch.from_numpy(rng.integers(0, len(target), min(len(target), 1024)))
        batch = x[pick]
        noise = rng.standard_normal((len(pick), x.shape[1] - n), dtype=np.float32)
        kept = rng.random((len(pick), x.shape[1] - n), dtype=np.float32) > _LEFT_OUT
        seen = (batch[:, :-n] + torch.from_numpy(0.15 * noise).to(x.device)) * torch.from_numpy(kept).to(x.device)
        batch = torch.cat([seen / (1 - _LEFT_OUT), batch[:, -n:]], 1)[:, :, None, None]
        for group, rate in zip(optimiser.param_groups, rates):
            group["lr"] = rate * (1 - step / _STEPS)
        raw = net.heads(batch)[..., 0, 0]
        loss = nn.functional.cross_entropy(
            raw.flatten(0, 1), target[pick].repeat_interleave(raw.shape[1]), weight=weight, label_smoothing=0.02
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    net.eval()
