"""Cards of the shipped models: what each is, where its data come from, how well it does, and its verified arrays."""

from hea_sim._lazy import lazy_names

_NAMES = {
    "DataSource": "cards",
    "DatasetCard": "datasets",
    "ModelCard": "cards",
    "dataset_card": "datasets",
    "dataset_folder": "datasets",
    "list_datasets": "datasets",
    "list_models": "cards",
    "load_arrays": "cards",
    "load_card": "cards",
    "save_model": "cards",
    "verify_dataset": "datasets",
}
__all__ = sorted(_NAMES)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
