from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from hea_sim.alloy import Composition
from hea_sim.documents import document, sha256_of, to_jsonable, write_atomic, write_json
from hea_sim.errors import InputError
from hea_sim.records import Estimate, Pattern, Provenance


def test_nan_and_infinity_become_null() -> None:
    text = json.dumps(to_jsonable({"a": float("nan"), "b": [np.inf, 1.5], "c": np.int64(3), "d": Path("x") / "y"}))
    assert json.loads(text) == {"a": None, "b": [None, 1.5], "c": 3, "d": "x/y"}


def test_a_composition_is_a_mapping_of_elements() -> None:
    assert to_jsonable(Composition.parse("NbMo3")) == {"Nb": 0.25, "Mo": 0.75}


def test_frame_has_its_four_keys() -> None:
    frame = document([], [], Provenance(seed=1))
    assert list(frame)[:4] == ["schema", "results", "failures", "provenance"]
    assert frame["schema"] == 1 and frame["provenance"]["seed"] == 1


def test_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = write_json(tmp_path / "r.json", {"old": True})
    before = sha256_of(target)

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_atomic(target, "new")
    assert sha256_of(target) == before
    assert [p.name for p in tmp_path.iterdir()] == ["r.json"]


def test_estimate_refuses_half_an_interval_and_negative_spread() -> None:
    with pytest.raises(InputError, match="interval"):
        Estimate(value=1.0, low=0.5)
    with pytest.raises(InputError, match=">= 0"):
        Estimate(value=1.0, std=-0.1)


@pytest.mark.parametrize(
    ("angles", "intensity", "says"),
    [
        (np.linspace(10, 90, 100), np.full(100, np.nan), "intensity of point 1"),
        (np.linspace(90, 10, 100), np.ones(100), "do not increase"),
        (np.linspace(0.2, 1.6, 100), np.ones(100), "radians"),
        (np.linspace(10, 90, 20), np.ones(20), "at least 50"),
        (np.linspace(100, 400, 100), np.ones(100), "between 0 and 180"),
        (np.linspace(10, 90, 100), np.ones(99), "one length"),
    ],
)
def test_patterns_that_cannot_be_are_refused(angles: np.ndarray, intensity: np.ndarray, says: str) -> None:
    with pytest.raises(InputError, match=says):
        Pattern(two_theta_deg=angles, intensity=intensity, source="scan.xy")
