"""Choose a batch with botorch (extra `design`): the expected improvement of the alloys together, not one by one.

The errors of near alloys are alike (kernel exp(-d / reach), as in `local_update`), so that two near alloys tell the
same thing twice and a batch spreads by itself. One objective: q-log-expected improvement
(doi:10.48550/arXiv.2310.20708); several: that of the hypervolume. The alloys are those that the search of the grid
found, so every limit holds here too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hea_sim.errors import MissingDependencyError
from hea_sim.properties.design.acquisition import choose_batch
from hea_sim.properties.design.scores import CORRELATION_LENGTH, ScoredAlloys, distances, on_front

try:
    import torch
    from botorch.acquisition.logei import qLogExpectedImprovement
    from botorch.acquisition.multi_objective.logei import qLogExpectedHypervolumeImprovement
    from botorch.models.model import Model
    from botorch.posteriors.gpytorch import GPyTorchPosterior
    from botorch.sampling.normal import SobolQMCNormalSampler
    from botorch.utils.multi_objective.box_decompositions import FastNondominatedPartitioning
    from gpytorch.distributions import MultitaskMultivariateNormal, MultivariateNormal
except ImportError as error:
    raise MissingDependencyError(
        "engine 'botorch' needs botorch; install it with pip install 'hea-toolkit[design]', or use engine 'plain'"
    ) from error

#: Alloys among which a batch is chosen: the best by probability and mean.
_ALLOYS = 256
_SAMPLES = 128
#: Points of the front that a gain is measured from: each cuts the space of objectives into more boxes.
_FRONT = 12
_JITTER = 1e-6


class _KnownAlloys(Model):
    """Hold the joint distribution of objectives of listed alloys; an input is the number of an alloy."""

    def __init__(self, mean: np.ndarray, std: np.ndarray, alike: np.ndarray) -> None:
        super().__init__()
        self.mean, self.std, self.alike = (torch.from_numpy(np.ascontiguousarray(a)) for a in (mean, std, alike))

    @property
    def num_outputs(self) -> int:
        """Count the objectives."""
        return self.mean.shape[1]

    @property
    def batch_shape(self) -> torch.Size:
        """Give the shape of a batch of models: there is one."""
        return torch.Size()

    def posterior(self, X: torch.Tensor, *_: Any, **__: Any) -> GPyTorchPosterior:
        """Give the joint distribution at numbers (..., q, 1)."""
        i = X[..., 0].long()
        alike = self.alike[i[..., :, None], i[..., None, :]] + _JITTER * torch.eye(i.shape[-1], dtype=torch.double)
        parts = []
        for k in range(self.num_outputs):
            std = self.std[i, k]
            parts.append(MultivariateNormal(self.mean[i, k], alike * std[..., :, None] * std[..., None, :]))
        joint = parts[0] if len(parts) == 1 else MultitaskMultivariateNormal.from_independent_mvns(parts)
        return GPyTorchPosterior(joint)


def choose_with_botorch(scored: ScoredAlloys, n: int, *, seed: int, best: np.ndarray | None = None) -> list[int]:
    """Choose at most n of scored alloys, best first; without an objective the likeliest that lie apart."""
    if not scored.mean.shape[1]:
        return choose_batch(scored, n, rng=np.random.default_rng(seed))
    top = _top(scored)
    scale = np.maximum(np.ptp(scored.mean[top], axis=0), 1e-9)
    x = scored.fractions[top]
    mean = scored.mean[top] / scale
    std = np.maximum(scored.std[top] / scale, 1e-6)
    model = _KnownAlloys(mean, std, np.exp(-distances(x, x) / CORRELATION_LENGTH))
    likely = scored.probability[top] >= 0.5 * scored.probability[top].max()
    reference = mean[likely] if best is None else best[None] / scale
    places = torch.arange(len(top), dtype=torch.double)[:, None]
    chosen: list[int] = []
    with torch.no_grad():
        for _ in range(min(n, len(top))):
            function = _acquisition(model, reference, places[chosen] if chosen else None, seed)
            value = function(places[:, None, :]) + torch.from_numpy(np.log(scored.probability[top]))
            value[chosen] = -torch.inf
            chosen.append(int(value.argmax()))
    return [int(top[i]) for i in chosen]


def _top(scored: ScoredAlloys) -> np.ndarray:
    """List the alloys that a batch is chosen from; half by the mean of objectives, half by what they may become."""
    usable = np.flatnonzero(scored.probability > 0)
    span = np.maximum(np.ptp(scored.mean[usable], axis=0), 1e-9)
    ranks = []
    for width in (0.0, 1.0):
        worth = ((scored.mean + width * scored.std)[usable] - scored.mean[usable].min(0)) / span
        ranks.append(usable[np.argsort(-(scored.probability[usable] * worth.sum(1)), kind="stable")[: _ALLOYS // 2]])
    return np.unique(np.concatenate(ranks))


def _acquisition(model: _KnownAlloys, reference: np.ndarray, pending: Any, seed: int) -> Any:
    """Build the acquisition function of one more alloy beside those that are pending."""
    sampler = SobolQMCNormalSampler(torch.Size([_SAMPLES]), seed=seed)
    if model.num_outputs == 1:
        best = float(reference.max())
        return qLogExpectedImprovement(model, best_f=best, sampler=sampler, X_pending=pending)
    front = reference[on_front(reference)]
    front = front[np.argsort(front[:, 0])][np.unique(np.linspace(0, len(front) - 1, _FRONT).round().astype(int))]
    known = torch.from_numpy(np.ascontiguousarray(front))
    corner = torch.from_numpy(reference.min(0) - 0.1)
    parts: Any = FastNondominatedPartitioning(ref_point=corner, Y=known)
    return qLogExpectedHypervolumeImprovement(
        model, ref_point=corner.tolist(), partitioning=parts, sampler=sampler, X_pending=pending
    )
