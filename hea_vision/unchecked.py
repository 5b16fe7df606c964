"""What a loop could not check, and why."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from hea_vision.campaign import CAMPAIGN_FILE

if TYPE_CHECKING:
    from hea_vision.loop import LoopResult


def list_unchecked(result: LoopResult) -> list[str]:
    """Say what could not be checked, and why."""
    campaign, expected = result.campaign, result.expected
    out = []
    if not campaign.pattern:
        out.append("phase, lattice parameter and order: the campaign has no diffraction pattern")
    if not campaign.micrograph:
        out.append("second phases and pores: the campaign has no micrograph")
    if result.segregation:
        out.append("segregation: nothing predicts it; a lattice Monte Carlo at one temperature knows no solidification")
    if not campaign.composition and not any(s.quantified for s in result.segregation.values()):
        out.append("composition: the campaign has no measured composition; the nominal one is taken")
    if not campaign.controls:
        out.append("controls: the campaign names no other alloys, so no claim can be told apart from an alternative")
    if expected is not None:
        said = ("no lattice model", "no potential is shipped", "was not used for")
        out += [note for note in expected.notes if any(words in note for words in said)]
    for name, (micrograph, labels) in result.images.items():
        if micrograph.pixel_size_nm is None:
            out.append(f"sizes in {name}: neither the file nor the campaign gives a pixel size")
        if labels.unfamiliar:
            out.append(f"{name}: unlike the pictures that '{labels.model}' knows; look at its labels first")
        elif labels.unfamiliar is None and labels.model != "classical":
            out.append(f"{name}: '{labels.model}' has no flag to tell whether it knows such pictures")
    unused = _unused_files(result.folder, {Path(f) for f in campaign.files}, result.out)
    if unused:
        out.append(
            f"{len(unused)} files that the campaign does not name: {', '.join(unused[:8])}"
            + (" ..." if unused[8:] else "")
        )
    return out


def _unused_files(folder: Path, named: set[Path], out: Path | None) -> list[str]:
    """List files of the folder that the campaign does not name; hidden ones and the loop's own results are left out."""
    found = []
    for place, folders, files in os.walk(folder):
        here = Path(place)
        folders[:] = sorted(
            d for d in folders if not d.startswith(".") and (out is None or (here / d).resolve() != out.resolve())
        )
        for name in sorted(files):
            path = (here / name).relative_to(folder)
            if path not in named and name != CAMPAIGN_FILE and not name.startswith("."):
                found.append(path.as_posix())
    return found
