"""Fits of potentials: labelled structures, their audit, linear and gradient fits, errors, figures, one job for all."""

from hea_sim._lazy import lazy_names

_NAMES = {
    "Audit": "audit",
    "Choice": "selection",
    "EnergyVariance": "linear",
    "ErrorRow": "scores",
    "FitPotentialJob": "job",
    "FittedPotential": "fit_run",
    "Finding": "audit_labels",
    "GradientSettings": "gradient",
    "LinearFit": "linear",
    "Range": "selection",
    "Tolerance": "weights",
    "TrainingStructure": "structures",
    "Weights": "weights",
    "audit_structures": "audit",
    "build_rows": "rows",
    "calibrated_variance": "linear",
    "error_table": "scores",
    "fit_gradient": "gradient",
    "fit_linear": "linear",
    "fit_potential": "fit_run",
    "fit_reweighted": "linear",
    "group_figure": "figures",
    "lasso_path": "sparse",
    "learning_curve": "linear",
    "learning_figure": "figures",
    "leave_group_out": "linear",
    "parity_figure": "figures",
    "predict_structures": "scores",
    "read_fit_job": "job",
    "read_fitted": "families",
    "read_structures": "structures",
    "search_settings": "selection",
}
__all__ = sorted(_NAMES)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
