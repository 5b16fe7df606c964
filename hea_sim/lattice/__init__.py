"""Energy and volume of site occupations: pair models, cluster expansions, low-rank potentials, their fits."""

from hea_sim._lazy import lazy_names

_NAMES = {
    "ClusterModel": "clusters",
    "FitCell": "fit",
    "LowRankModel": "low_rank",
    "PairModel": "pairs",
    "choose_next": "cluster_fit",
    "cluster_space": "cluster_functions",
    "fit_cluster_model": "cluster_fit",
    "fit_lattice": "fit_run",
    "fit_low_rank_model": "low_rank_fit",
    "fit_pair_model": "fit",
    "label_cells": "labels",
    "load_lattice_model": "pairs",
    "model_for": "pairs",
    "neighbour_shells": "shells",
    "parent_lattice": "parents",
    "predict_lattice_parameter": "volume",
}
__all__ = sorted(_NAMES)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
