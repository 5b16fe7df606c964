"""What the user knows of a micrograph beside its file: the same for every reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypedDict

from hea_sim.errors import InputError, unknown_name
from hea_vision.io.lengths import usable

_DATA_BAR_WISHES = ("auto", "keep")


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """Say how a micrograph is read.

    Parameters
    ----------
    pixel_size_nm
        Edge of a pixel in nm, where the file holds none or a wrong one.
    crop
        (top, left, height, width) in px of the image without its data bar.
    scale_bar_nm
        Length in nm that the label of a drawn scale bar names: with its length in px, which is looked for
        (`metadata["scale_bar_px"]`), it gives the pixel size. Only where no pixel size is given.
    data_bar
        "auto" cuts off a data bar that the file speaks of or that is certain from its looks, "keep" keeps it;
        `metadata["data_bar"]` says what was done.

    Examples
    --------
    >>> ReadOptions(pixel_size_nm=50.0, crop=(0, 0, 400, 600)).data_bar
    'auto'
    """

    pixel_size_nm: float | None = None
    crop: tuple[int, int, int, int] | None = None
    scale_bar_nm: float | None = None
    data_bar: str = "auto"

    def __post_init__(self) -> None:
        for what, size in (("pixel size", self.pixel_size_nm), ("scale bar", self.scale_bar_nm)):
            if size is not None and not usable(size):
                raise InputError(f"{what} {size} nm; wanted a positive number of nanometres")
        if self.pixel_size_nm is not None and self.scale_bar_nm is not None:
            raise InputError("both a pixel size and the length of the scale bar were given; give one of them")
        if self.data_bar not in _DATA_BAR_WISHES:
            raise InputError(f"data bar {self.data_bar!r}; wanted one of {', '.join(_DATA_BAR_WISHES)}")


class ReadOptionNames(TypedDict, total=False):
    """Name the fields of `ReadOptions` that a reader takes one by one."""

    pixel_size_nm: float | None
    crop: tuple[int, int, int, int] | None
    scale_bar_nm: float | None
    data_bar: str


def joined_options(options: ReadOptions | None, said: Mapping[str, Any]) -> ReadOptions:
    """Join options and single fields; a field that is said wins. UnknownNameError names the nearest field."""
    for name in said:
        if name not in ReadOptionNames.__annotations__:
            raise unknown_name("option of a micrograph", name, ReadOptionNames.__annotations__)
    return replace(options or ReadOptions(), **said)
