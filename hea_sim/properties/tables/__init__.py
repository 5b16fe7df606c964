"""Open tables of alloys with their sins counted, and a user's own table in the same form."""

from hea_sim._lazy import lazy_names

_NAMES = {
    "AlloyTable": "alloys",
    "REACH": "clusters",
    "Report": "source_rows",
    "connected_groups": "clusters",
    "near_duplicates": "clusters",
    "nearest_distance": "clusters",
    "phase_table": "alloys",
    "property_table": "alloys",
    "reports": "source_rows",
    "split_folds": "clusters",
    "user_table": "user_files",
}
__all__ = sorted(_NAMES)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
