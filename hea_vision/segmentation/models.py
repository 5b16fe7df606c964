"""Trained segmenters: those that come with the package, and those that users save into folders of their own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from hea_sim.documents import sha256_of
from hea_sim.errors import InputError, unknown_name
from hea_sim.registry.cards import CARD_FILE, MODELS, ModelCard, list_models, read_arrays, read_card
from hea_vision.segmentation.familiarity import Familiarity
from hea_vision.segmentation.network import MicrographNet
from hea_vision.segmentation.painted_network import PaintedNet, load_painted
from hea_vision.segmentation.prediction import predict_probabilities
from hea_vision.segmentation.training import load_weights

#: The kind of a segmenter's card.
CARD_KIND = "segmenter"
#: What a segmenter's labels are turned into beside classes.
TASKS = ("areas", "precipitates", "grains", "columns")
#: One number, or one for a single view and one for several.
Calibration = float | tuple[float, float]
_WEIGHTS = "network."
_FAMILIARITY = "familiarity."


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedSegmenter:
    """Hold a network with what is needed to use it.

    `classes` by number from 0; `task` is one of `TASKS`; `temperature` divides the scores so that probabilities hold;
    it looks at means over squares of `reduction` pixels; where `upright`, it has learnt which side of a picture is up;
    `field_error` by class scales the interval of an area fraction (see `intervals`).
    Of a pair of temperatures or of errors the first counts for one view, the second for several (see `calibrated`).
    """

    name: str
    task: str
    classes: Mapping[int, str]
    network: MicrographNet | PaintedNet
    temperature: Calibration = 1.0
    reduction: int = 1
    upright: bool = False
    field_error: Mapping[int, Calibration] | None = None
    familiarity: Familiarity | None = None
    sha256: str = ""

    def temperature_at(self, views: int) -> float:
        """Give the temperature for so many views."""
        return _at(self.temperature, views)

    def field_error_at(self, views: int) -> dict[int, float]:
        """Give the factors of the fractions' intervals for so many views, by class; empty where nobody counted them."""
        return {n: _at(q, views) for n, q in (self.field_error or {}).items()}

    def probabilities(self, image: np.ndarray, *, views: int = 1, **options: object) -> np.ndarray:
        """Give the calibrated probabilities (classes, rows, columns) of an image; options of `predict_tiles`."""
        temperature = self.temperature_at(views)
        return predict_probabilities(
            self.network,
            image,
            temperature=temperature,
            views=views,
            reduction=self.reduction,
            upright=self.upright,
            **options,
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """Give everything that a file keeps: kernels in half precision, what is one number a channel as it is.

        Raises InputError where a weight is no number or beyond half precision.
        """
        weights = {_WEIGHTS + name: _stored(name, value) for name, value in self.network.state_dict().items()}
        known = {} if self.familiarity is None else self.familiarity.arrays()
        return weights | {_FAMILIARITY + name: value for name, value in known.items()}

    def settings(self) -> dict[str, object]:
        """Give what the card keeps."""
        return {
            "task": self.task,
            "classes": {str(n): name for n, name in sorted(self.classes.items())},
            "widths": list(self.network.widths),
            "temperature": _as_json(self.temperature),
            "reduction": self.reduction,
            "upright": self.upright,
            "field_error": {str(n): _as_json(q) for n, q in (self.field_error or {}).items()},
        }


def _at(value: Calibration, views: int) -> float:
    return value[int(views > 1)] if isinstance(value, tuple) else value


def _as_json(value: Calibration) -> float | list[float]:
    return list(value) if isinstance(value, tuple) else value


def _of_json(value: object) -> Calibration:
    if isinstance(value, list):
        one, several = (float(v) for v in value)
        return one, several
    return float(value)  # type: ignore[arg-type]


def _stored(name: str, value: torch.Tensor) -> np.ndarray:
    array = np.asarray(value.detach().cpu().numpy())
    if array.dtype.kind != "f":
        return array.astype(np.int64)
    # Running variances span more than half precision holds; kernels, nearly all of the file, do not.
    array = array.astype(np.float32)
    with np.errstate(over="ignore"):
        kept = array.astype(np.float16) if array.ndim > 1 else array
    if not np.isfinite(kept).all():
        raise InputError(
            f"weights '{name}' reach {np.abs(array).max():g}; wanted numbers below {np.finfo(np.float16).max:g}:"
            " the training ran away, train again at a lower learning rate"
        )
    return kept


def known_segmenters() -> list[str]:
    """List the networks that come with the package."""
    return [card.name for card in list_models() if card.kind == CARD_KIND]


def model_folder(model: str | os.PathLike[str]) -> Path:
    """Find a segmenter by the name of one that comes with the package, or by its own folder.

    Raises UnknownNameError naming those that are known.
    """
    folder = Path(model)
    if (folder / CARD_FILE).is_file():
        return folder
    if str(model) in known_segmenters():
        return MODELS / str(model)
    raise unknown_name("segmenter", str(model), ["classical", *known_segmenters()])


def load_segmenter(model: str | os.PathLike[str], device: str = "cpu") -> TrainedSegmenter:
    """Load a segmenter, after comparing its file's SHA-256 with its card's.

    Raises InputError where the folder holds another kind of model, UnknownNameError where the name is not known.
    """
    folder = model_folder(model).resolve()
    return _load_once(folder, read_card(folder).model_dump_json(), device)


@lru_cache(maxsize=4)
def _load_once(folder: Path, card_text: str, device: str) -> TrainedSegmenter:
    card = ModelCard.model_validate_json(card_text)  # the whole card, as a new calibration leaves the weights alone
    settings = card.settings
    classes, widths = settings.get("classes"), settings.get("widths")
    if card.kind != CARD_KIND or not isinstance(classes, dict) or not isinstance(widths, list):
        raise InputError(f"{folder}: is a model of kind '{card.kind}'; wanted a segmenter with its classes and widths")
    arrays = read_arrays(folder)
    weights = {n.removeprefix(_WEIGHTS): a for n, a in arrays.items() if n.startswith(_WEIGHTS)}
    network = _network(weights, len(classes), tuple(int(w) for w in widths))  # type: ignore[arg-type]
    known = {n.removeprefix(_FAMILIARITY): a for n, a in arrays.items() if n.startswith(_FAMILIARITY)}
    errors = settings.get("field_error")
    return TrainedSegmenter(
        name=card.name,
        task=str(settings.get("task", "areas")),
        classes={int(n): str(name) for n, name in classes.items()},
        network=network.to(device, memory_format=torch.channels_last).eval(),  # type: ignore[call-overload]
        temperature=_of_json(settings.get("temperature", 1.0)),
        reduction=int(settings.get("reduction", 1)),  # type: ignore[arg-type]
        upright=bool(settings.get("upright", False)),
        field_error={int(n): _of_json(q) for n, q in errors.items()} if isinstance(errors, dict) else None,
        familiarity=Familiarity.of_arrays(known) if known else None,
        sha256=sha256_of(folder / CARD_FILE),
    )


def _network(weights: dict[str, np.ndarray], n_classes: int, widths: tuple[int, ...]) -> MicrographNet | PaintedNet:
    if "base.head.bias" in weights:
        return load_painted(weights, n_classes, widths)
    return load_weights(MicrographNet(n_classes, widths), weights)


def model_sha256(model: str) -> dict[str, str]:
    """Give the SHA-256 of a segmenter's card, which holds that of its weights; nothing for one without weights.

    A model that is calibrated anew keeps its weights, but not its card.
    """
    if model == "classical":
        return {}
    return {str(model): sha256_of(model_folder(model) / CARD_FILE)}
