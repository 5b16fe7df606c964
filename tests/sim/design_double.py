"""A small predictor of known answers for tests of design: what it says follows from the composition by a formula."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

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
from hea_sim.records import Estimate

#: Valence electrons, and hardness in HV that an atom of an element adds.
ELECTRONS = {"Al": 3, "Co": 9, "Cr": 6, "Cu": 11, "Fe": 8, "Mo": 6, "Nb": 5, "Ni": 10, "Ta": 5, "Ti": 4, "V": 5, "W": 6}
HARDNESS = {
    "Al": 700, "Co": 300, "Cr": 500, "Cu": 150, "Fe": 250, "Mo": 650, "Nb": 350, "Ni": 200, "Ta": 400, "Ti": 450,
    "V": 380, "W": 800,
}  # fmt: skip
#: Half widths of the intervals, whatever their level.
HALF_WIDTH_HV, HALF_WIDTH_MPa = 80.0, 250.0


@dataclass(frozen=True)
class ElectronCounter:
    """Say BCC below 6.9 valence electrons an atom and FCC above, hardness by the mixture, strength three times that."""

    elements: tuple[str, ...] = tuple(ELECTRONS)
    banned: str = "Cu"  # alloys with this element lie outside the domain

    def predict_batch(self, alloys: AlloyBatch, *, level: float = 0.9) -> BatchPrediction:
        x = alloys.fractions
        electrons = x @ np.array([ELECTRONS[e] for e in alloys.elements])
        hardness = x @ np.array([HARDNESS[e] for e in alloys.elements])
        bcc = 1 / (1 + np.exp(4 * (electrons - 6.9)))
        structure = np.column_stack([0.9 * bcc, 0.9 * (1 - bcc), np.full(len(x), 0.03), np.full(len(x), 0.07)])
        family = np.tile([0.7, 0.2, 0.05, 0.05], (len(x), 1))
        inside = np.array([e != self.banned for e in alloys.elements])
        return BatchPrediction(
            structure=structure,
            family=family,
            structure_set=structure > 0.1,
            family_set=family > 0.1,
            properties={
                "hardness_HV": hardness[:, None] + [[0, -HALF_WIDTH_HV, HALF_WIDTH_HV]],
                "yield_strength_MPa": 3 * hardness[:, None] + [[0, -HALF_WIDTH_MPa, HALF_WIDTH_MPa]],
            },
            in_domain=~(x[:, ~inside] > 0).any(1),
            level=level,
        )

    def predict(
        self,
        alloys: Sequence[Composition | str],
        *,
        processing: str = "other",
        temperature_K: float = ROOM_TEMPERATURE_K,
        level: float = 0.9,
    ) -> list[AlloyPrediction]:
        batch = AlloyBatch.of(alloys, processing=processing, temperature_K=temperature_K)
        found = self.predict_batch(batch)
        out = []
        for i, alloy in enumerate(alloys):
            if not found.in_domain[i]:
                reasons = (f"holds {self.banned}",)
                out.append(_told(alloy, processing, temperature_K, in_domain=False, reasons=reasons))
                continue
            numbers = {
                name: Estimate(value=float(v[i, 0]), low=float(v[i, 1]), high=float(v[i, 2]), level=0.9)
                for name, v in found.properties.items()
            }
            out.append(
                _told(
                    alloy,
                    processing,
                    temperature_K,
                    in_domain=True,
                    structure=_call(found.structure[i], STRUCTURES),
                    family=_call(found.family[i], FAMILIES),
                    properties=numbers,
                    leans_on=(KnownAlloy(formula="NbMoTaW", distance=0.1, reported={"structure": "BCC"}, source="x"),),
                )
            )
        return out

    def learn(self, measured: Sequence[MeasuredAlloy]) -> PropertyPredictor:
        return self


def _told(alloy: Composition | str, processing: str, temperature_K: float, **more: object) -> AlloyPrediction:
    return AlloyPrediction(
        input=str(alloy),
        composition=Composition.parse(alloy),
        processing=processing,
        temperature_K=temperature_K,
        **more,
    )


def _call(probabilities: np.ndarray, names: tuple[str, ...]) -> ClassCall:
    return ClassCall(
        probabilities={n: float(p) for n, p in zip(names, probabilities)},
        prediction_set=tuple(n for n, p in zip(names, probabilities) if p > 0.1),
    )
