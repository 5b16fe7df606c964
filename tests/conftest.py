"""Shared fixtures: where the real data lie."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """Give the root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def data() -> Path:
    """Give the folder of the real data sets; skip where HEA_DATA does not name it."""
    folder = os.environ.get("HEA_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("the real data sets are not here: set HEA_DATA to their folder (see `hea data list`)")
    return Path(folder)
