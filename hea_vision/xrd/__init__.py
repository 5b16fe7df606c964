"""Powder patterns to phases: line lists, prototype fits with free lattices, evidence, order tests."""

from hea_sim._lazy import lazy_names

_NAMES = {"PATTERN_LABELLERS": "classify", "classify_pattern": "classify"}
__all__ = sorted(_NAMES)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
