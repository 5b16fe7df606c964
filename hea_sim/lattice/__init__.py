"""Energy and volume of site occupations: pair Hamiltonians on cubic lattices, their fit, their shipped models."""

from hea_sim._lazy import lazy_names

_NAMES = {
    "FitCell": "fit",
    "PairModel": "pairs",
    "fit_pair_model": "fit",
    "label_cells": "labels",
    "load_lattice_model": "pairs",
    "model_for": "pairs",
    "neighbour_shells": "shells",
    "predict_lattice_parameter": "volume",
}
__all__ = sorted(_NAMES)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
