"""Import torchvision, also beside a torch without CUDA.

The torchvision of the open registry is linked against CUDA: beside a CPU-only torch its compiled operators cannot be
loaded and the import fails with "operator torchvision::nms does not exist". Nothing here needs them, so on exactly that
error the missing operator gets a plain torch twin, and the import is tried again.
"""

from __future__ import annotations

import importlib
import re
import sys
from types import ModuleType

import torch

#: Operators that torchvision describes on import and that a CPU-only torch may lack; both share one signature.
_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_REPLACED = ("nms", "qnms")
_libraries: list[torch.library.Library] = []  # a library that is collected takes its operators with it


def torchvision_module(name: str) -> ModuleType:
    """Import a module of torchvision by its name after the package, such as "transforms.v2"."""
    for _ in range(len(_REPLACED)):
        try:
            return importlib.import_module(f"torchvision.{name}")
        except RuntimeError as error:
            lacking = re.fullmatch(r"operator torchvision::(\w+) does not exist", str(error).strip())
            if lacking is None or lacking[1] not in _REPLACED:
                raise
            for loaded in [m for m in sys.modules if m.split(".")[0] == "torchvision"]:
                del sys.modules[loaded]
            library = torch.library.Library("torchvision", "FRAGMENT")
            library.define(lacking[1] + _SCHEMA)
            library.impl(lacking[1], keep_apart, "CompositeExplicitAutograd")
            _libraries.append(library)
    return importlib.import_module(f"torchvision.{name}")


def keep_apart(dets: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """Keep the best of boxes that overlap (non-maximum suppression), as torchvision.ops.nms does.

    `dets` (n, 4) x1, y1, x2, y2; `scores` (n,). Returns the kept indices, best first.
    """
    order = scores.argsort(descending=True, stable=True)
    area = (dets[:, 2:] - dets[:, :2]).prod(1)
    kept = []
    while order.numel():
        first, rest = order[0], order[1:]
        kept.append(first)
        low = torch.maximum(dets[first, :2], dets[rest, :2])
        high = torch.minimum(dets[first, 2:], dets[rest, 2:])
        shared = (high - low).clamp(min=0).prod(1)
        order = rest[~(shared / (area[first] + area[rest] - shared) > iou_threshold)]  # boxes without area stay
    return torch.stack(kept) if kept else torch.empty(0, dtype=torch.long, device=dets.device)
