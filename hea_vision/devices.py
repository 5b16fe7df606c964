"""Where networks compute: on the processor, or on a CUDA card where there is one.

One default everywhere, in Python as in the shell: "auto" takes the first card, and the processor where there is none.
"""

from __future__ import annotations

import re

from hea_sim.errors import InputError

#: What networks run on where nothing else is said.
DEFAULT_DEVICE = "auto"


def checked_device_name(name: str) -> str:
    """Give the name of a device back; InputError where no device is called so. No card is looked for.

    >>> checked_device_name("cuda:1")
    'cuda:1'
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise InputError(f"device '{name}'; wanted auto, cpu, cuda, or cuda:1 for the second card")
    return name


def checked_device(name: str) -> str:
    """Turn "auto" into a card where there is one, and refuse a card that is not there.

    >>> checked_device("cpu")
    'cpu'
    """
    if checked_device_name(name) == "cpu":
        return name
    import torch

    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return "cuda" if cards else "cpu"
    if not cards:
        raise InputError(f"device '{name}': torch sees no CUDA card here; give --device cpu or auto")
    number = int(name.partition(":")[2] or 0)
    if number >= cards:
        raise InputError(f"device '{name}': torch sees {cards} of them here, counted from cuda:0; give one of those")
    return name
