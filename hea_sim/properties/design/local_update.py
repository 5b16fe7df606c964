"""Correct a predictor near measured alloys, without fitting it anew: a Gaussian process of what it gets wrong.

| symbol | here |
|---|---|
| d(x, x_j), sum of absolute differences of atomic fractions | `distances` |
| k(x, x_j) = exp(-d / `reach`) | how alike the predictor's errors are at two alloys |
| log p'_c(x) = log p_c(x) + g_c(x) + const, cov(g_c(x), g_c(x_j)) = `doubt` k | classes c; p of the base |
| likelihood of "it is c": p'_c; of "it is none of N": sum of p' outside N | `_possible` |
| r_j = measured - predicted, cov(r_i, r_j) = s_i s_j (q k + (1 - q) [i = j]), q = `shared` | numbers |

g is taken at its most probable value, g = K a. The constants are those of the errors of a predictor on element sets
that it had not seen; `tests/benchmarks/properties_feedback.py` shows what they give.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.stats import norm

from hea_sim.alloy import Composition
from hea_sim.properties.contract import (
    FAMILIES,
    ROOM_TEMPERATURE_K,
    STRUCTURES,
    AlloyBatch,
    AlloyPrediction,
    BatchPrediction,
    ClassCall,
    KnownAlloy,
    MeasuredAlloy,
    PropertyPredictor,
)
from hea_sim.properties.design.scores import CORRELATION_LENGTH, distances, sides

#: Probability of a report where it is wrong: reports of one composition contradict each other often enough.
_WRONG_REPORT = 0.05
#: Least probability that a base is taken to mean.
_LEAST = 1e-3
#: Temperature over which the errors of a property stay alike, K.
_ALIKE_OVER_K = 400.0
#: Measured alloys that a prediction names, at most, and how near they must lie.
_NAMED, _NAMED_WITHIN = 3, 0.6


@dataclass(frozen=True, kw_only=True, eq=False)
class LocalPredictor:
    """Predict as `base` does, corrected near the alloys that were `measured` since.

    `doubt` is the variance of the error of a logarithm of probability; `shared` the share of the variance of a
    property's error that near alloys have in common; `reach` (sum of absolute differences of fractions) is how far
    near goes.
    """

    base: PropertyPredictor
    measured: tuple[MeasuredAlloy, ...] = ()
    doubt: float = 2.0
    shared: float = 0.45
    reach: float = CORRELATION_LENGTH

    @property
    def elements(self) -> tuple[str, ...]:
        """Give the elements that can be predicted."""
        return self.base.elements

    def learn(self, measured: Sequence[MeasuredAlloy]) -> LocalPredictor:
        """Give a predictor that has seen these alloys too."""
        return replace(self, measured=(*self.measured, *measured))

    def predict_batch(self, alloys: AlloyBatch, *, level: float = 0.9) -> BatchPrediction:
        """Predict many alloys at once; sets are the base's, and wider where the corrected probabilities ask for it."""
        plain = self.base.predict_batch(alloys, level=level)
        if not self._known:
            return plain
        alike = np.exp(-self._distances(alloys) / self.reach)
        structure = self._updated(plain.structure, alike, "structure")
        family = self._updated(plain.family, alike, "family")
        return replace(
            plain,
            structure=structure,
            family=family,
            structure_set=plain.structure_set | _smallest_sets(structure, plain.level),
            family_set=plain.family_set | _smallest_sets(family, plain.level),
            properties={
                name: self._corrected(name, np.asarray(values, float), alloys, alike, plain.level)
                for name, values in plain.properties.items()
            },
        )

    def predict(
        self,
        alloys: Sequence[Composition | str],
        *,
        processing: str = "other",
        temperature_K: float = ROOM_TEMPERATURE_K,
        level: float = 0.9,
    ) -> list[AlloyPrediction]:
        """Predict alloys one by one; what was measured nearby stands first among what a prediction leans on."""
        plain = self.base.predict(alloys, processing=processing, temperature_K=temperature_K, level=level)
        if not self._known or not plain:
            return plain
        batch = AlloyBatch.of(alloys, processing=processing, temperature_K=temperature_K)
        found, apart = self.predict_batch(batch, level=level), self._distances(batch)
        return [self._told(told, found, apart[row], row) for row, told in enumerate(plain)]

    def _told(self, told: AlloyPrediction, found: BatchPrediction, apart: np.ndarray, row: int) -> AlloyPrediction:
        if not told.in_domain:
            return told
        near = [j for j in np.argsort(apart, kind="stable")[:_NAMED] if apart[j] <= _NAMED_WITHIN]
        own = tuple(_known_alloy(self._known[j], float(apart[j])) for j in near)
        properties = {}
        for name, estimate in told.properties.items():
            value, low, high = (float(v) for v in found.properties[name][row])
            properties[name] = replace(estimate, value=value, low=low, high=high, std=None, level=found.level)
        return replace(
            told,
            structure=_call(told.structure, found.structure[row], found.structure_set[row], STRUCTURES, found.level),
            family=_call(told.family, found.family[row], found.family_set[row], FAMILIES, found.level),
            properties=properties,
            leans_on=(*own, *told.leans_on),
            notes=(*told.notes, f"corrected near {len(self._known)} measured alloys"),
        )

    @cached_property
    def _known(self) -> tuple[MeasuredAlloy, ...]:
        """List the measured alloys that the base can predict; of others it says nothing that could be corrected."""
        inside = [m for m in self.measured if set(m.composition) <= set(self.base.elements)]
        if not inside:
            return ()
        good = self.base.predict_batch(_batch(inside)).in_domain
        return tuple(m for m, usable in zip(inside, good) if usable)

    @cached_property
    def _own(self) -> BatchPrediction:
        return self.base.predict_batch(_batch(self._known))

    @cached_property
    def _among(self) -> np.ndarray:
        """Give distances (J, J) among the measured alloys."""
        x = _batch(self._known).fractions
        return distances(x, x)

    def _distances(self, alloys: AlloyBatch) -> np.ndarray:
        """Give distances (n, J) from alloys to the measured ones."""
        elements = tuple(dict.fromkeys((*alloys.elements, *(e for m in self._known for e in m.composition))))
        x = np.zeros((len(alloys), len(elements)))
        x[:, : len(alloys.elements)] = alloys.fractions
        theirs = np.array([[m.composition.get(e, 0.0) for e in elements] for m in self._known])
        return distances(x, theirs)

    def _updated(self, plain: np.ndarray, alike: np.ndarray, what: str) -> np.ndarray:
        """Shift the logarithms of probabilities (n, K) by what measured alloys tell of them."""
        pull = self._pulls[what]
        if not pull.any():
            return plain
        return _softmax(np.log(np.maximum(plain, _LEAST)) + self.doubt * alike @ pull)

    @cached_property
    def _pulls(self) -> dict[str, np.ndarray]:
        """Find, for structure and family, the a (J, K) of the most probable g = `doubt` k a."""
        kernel = self.doubt * np.exp(-self._among / self.reach)
        pulls = {}
        for what, names in (("structure", STRUCTURES), ("family", FAMILIES)):
            possible = np.array([_possible(m, names, what) for m in self._known])
            told = (possible < 1).any(1)
            prior = np.log(np.maximum(np.asarray(getattr(self._own, what), float), _LEAST))
            pulls[what] = np.zeros_like(prior)
            if told.any():
                pulls[what][told] = _most_probable(prior[told], possible[told], kernel[np.ix_(told, told)])
        return pulls

    def _corrected(
        self, name: str, plain: np.ndarray, alloys: AlloyBatch, alike: np.ndarray, level: float
    ) -> np.ndarray:
        """Correct values and intervals (n, 3) by the residuals of measured alloys, as a Gaussian process would."""
        has = [j for j, m in enumerate(self._known) if name in m.properties]
        own = np.asarray(self._own.properties[name], float)[has] if has else np.zeros((0, 3))
        has = [j for j, row in zip(has, own) if np.isfinite(row).all()]
        if not has:
            return plain
        own = np.asarray(self._own.properties[name], float)[has]
        z = float(norm.ppf((1 + level) / 2))
        theirs, ours = (np.maximum(np.mean(sides(q, z), axis=0), 1e-9) for q in (own, plain))
        residual = (np.array([self._known[j].properties[name] for j in has]) - own[:, 0]) / theirs
        kelvin = np.array([self._known[j].temperature_K for j in has])
        asked = np.broadcast_to(np.asarray(alloys.temperature_K, float), len(alloys))
        among = np.exp(-self._among[np.ix_(has, has)] / self.reach) * _alike(kelvin[:, None] - kelvin)
        cross = self.shared * alike[:, has] * _alike(asked[:, None] - kelvin)
        solved = np.linalg.solve(self.shared * among + (1 - self.shared) * np.eye(len(has)), cross.T).T
        narrower = np.sqrt(np.clip(1 - (solved * cross).sum(1), 1 - self.shared, 1.0))
        value = plain[:, 0] + ours * (solved @ residual)
        low, high = (value + (plain[:, k] - plain[:, 0]) * narrower for k in (1, 2))
        return np.column_stack([np.maximum(value, 0), np.maximum(low, 0), np.maximum(high, 0)])


def _softmax(logarithms: np.ndarray) -> np.ndarray:
    raised = np.exp(logarithms - logarithms.max(1, keepdims=True))
    return raised / raised.sum(1, keepdims=True)


def _most_probable(prior: np.ndarray, possible: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Maximise sum log(sum_c p'_c possible_c) - a K a / 2 over a (J, K), with log p' = prior + K a + const."""
    from scipy.optimize import minimize

    def cost(flat: np.ndarray) -> tuple[float, np.ndarray]:
        pull = flat.reshape(prior.shape)
        g = kernel @ pull
        p = _softmax(prior + g)
        likelihood = (p * possible).sum(1)
        seen = p * possible / likelihood[:, None]
        return float(0.5 * (pull * g).sum() - np.log(likelihood).sum()), (kernel @ (p - seen) + g).ravel()

    found = minimize(cost, np.zeros(prior.size), jac=True, method="L-BFGS-B", options={"maxiter": 300})
    return found.x.reshape(prior.shape)


def _alike(difference_K: np.ndarray) -> np.ndarray:
    return np.exp(-np.abs(difference_K) / _ALIKE_OVER_K)


def _batch(measured: Sequence[MeasuredAlloy]) -> AlloyBatch:
    return AlloyBatch.of(
        [m.composition for m in measured],
        processing=[m.processing for m in measured],
        temperature_K=np.array([m.temperature_K for m in measured]),
    )


def _possible(alloy: MeasuredAlloy, names: tuple[str, ...], what: str) -> np.ndarray:
    """Give the likelihood (K,) of what was seen under each class."""
    seen = getattr(alloy, what)
    out = np.ones(len(names))
    if seen is not None:
        out[:] = _WRONG_REPORT
        out[names.index(seen)] = 1.0
    elif what == "structure":
        for name in alloy.not_structures:
            out[names.index(name)] = _WRONG_REPORT
    return out


def _smallest_sets(probabilities: np.ndarray, level: float) -> np.ndarray:
    """Mark, likeliest first, the classes (n, K) that together hold `level`."""
    order = np.argsort(-probabilities, axis=1, kind="stable")
    held = np.take_along_axis(probabilities, order, axis=1).cumsum(1)
    needed = np.column_stack([np.ones(len(held), bool), held[:, :-1] < level])
    out = np.zeros_like(needed)
    np.put_along_axis(out, order, needed, axis=1)
    return out


def _call(
    before: ClassCall | None, probabilities: np.ndarray, chosen: np.ndarray, names: tuple[str, ...], level: float
) -> ClassCall | None:
    """Tell corrected probabilities; the class called stays where the likeliest one does."""
    if before is None:
        return None
    likeliest = names[int(np.argmax(probabilities))]
    same = likeliest == max(before.probabilities, key=lambda name: before.probabilities[name])
    return ClassCall(
        probabilities={name: float(p) for name, p in zip(names, probabilities)},
        prediction_set=tuple(name for name, there in zip(names, chosen) if there),
        level=level,
        call=before.call if same else likeliest,
    )


def _known_alloy(alloy: MeasuredAlloy, distance: float) -> KnownAlloy:
    reported: Mapping[str, Any] = {
        **({"structure": alloy.structure} if alloy.structure else {}),
        **({"not_structures": list(alloy.not_structures)} if alloy.not_structures else {}),
        **({"family": alloy.family} if alloy.family else {}),
        **dict(alloy.properties),
    }
    return KnownAlloy(
        formula=alloy.composition.formula,
        distance=distance,
        reported=reported,
        source=alloy.source or "measured in this campaign",
    )
