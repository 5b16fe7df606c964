"""Yield strength of random solid solutions from the volumes and stiffness of their elements, without fitted numbers."""

from hea_sim._lazy import lazy_names

_NAMES = {
    "BCC_EDGE": "edge_theory",
    "EdgeStrength": "edge_theory",
    "EdgeTheory": "edge_theory",
    "FCC_EDGE": "edge_theory",
    "SolutionInputs": "solution_inputs",
    "SolutionStrength": "strength",
    "covered_elements": "element_inputs",
    "edge_strength": "edge_theory",
    "inputs_from_potential": "potential_inputs",
    "inputs_from_tables": "solution_inputs",
    "solution_strength": "strength",
    "table_edge_strength": "strength",
    "table_strengths_MPa": "strength",
}
__all__ = sorted(_NAMES)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
