"""From composition to phase and strength, with intervals and second opinions, and from a target back to alloys."""

from hea_sim._lazy import lazy_names

_NAMES = {
    "AlloyBatch": "contract",
    "AlloyPrediction": "contract",
    "CompositionOpinion": "rules",
    "DesignCampaign": "design.campaign",
    "DesignTarget": "design.target",
    "MeasuredAlloy": "contract",
    "PropertyPredictor": "contract",
    "Reliability": "reliability",
    "TablePredictor": "predictor",
    "audit_table": "data_audit",
    "descriptor_matrix": "descriptors",
    "first_opinion": "rules",
    "load_predictor": "predictor",
    "phase_table": "tables",
    "phases_at": "second_opinions.calphad",
    "property_table": "tables",
    "reports_of": "known_alloys",
    "solution_strength": "strengthening.strength",
    "suggest": "design.suggestion",
    "suggest_neighbours": "design.neighbours",
    "user_table": "tables",
}
__all__ = sorted(_NAMES)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
