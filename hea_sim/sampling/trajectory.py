"""Trajectories: frames of a walk in an extended XYZ file that grows; a crash costs no frame but the one being written.

What a crash leaves of a torn frame is cut off when the file is taken up again, and left out by `read_trajectory`. A
checkpoint keeps the length of the file (`Trajectory.state`): a walk that goes on from there writes the frames behind it
once more in place of the old ones, never beside them.

Any reader of extended XYZ takes a file that is not torn (`ase.io.read(path, index=":")`, OVITO). The comment line of a
frame holds cell, periodicity, `frame` from 0 on, `temperature_K`, `energy_eV_per_atom`, and what the caller adds; the
systems of a walk that holds several stand one after the other, with their numbers as `system`.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.errors import InputError
from hea_sim.sampling.contract import Walk


class Trajectory:
    """Append the frames of a walk to a file.

    Nothing is opened before the first frame, which begins the file anew unless `restore` was called before.

    Parameters
    ----------
    path
        The file, `*.extxyz` or `*.xyz`; its folder is made.
    momenta
        Write momenta too, where the atoms have some.
    """

    def __init__(self, path: str | os.PathLike[str], *, momenta: bool = False) -> None:
        self.path, self.momenta = Path(path), momenta
        if self.path.suffix not in (".extxyz", ".xyz"):
            raise InputError(f"trajectory {self.path}; wanted a name that ends with .extxyz or .xyz")
        #: Frames in the file.
        self.frames = 0
        self._end = 0
        self._file: int | None = None

    def append(self, walk: Walk, **told: float | int | str) -> None:
        """Write the present atoms of a walk; `told` stands in the comment line.

        Raises OSError where the disk takes no more; the file then ends with the frame before.
        """
        present, seen = walk.atoms(), walk.observe()
        systems = [present] if hasattr(present, "numbers") else list(present)
        energies = np.atleast_1d(np.asarray(seen["energy_eV_per_atom"], float))
        temperatures = np.atleast_1d(np.asarray(seen.get("bath_temperature_K", walk.temperature_K), float))
        stream = io.StringIO()
        for k, atoms in enumerate(systems):
            info: dict[str, Any] = {"frame": self.frames}
            if len(systems) > 1:
                info["system"] = k
            info["temperature_K"] = float(temperatures[min(k, len(temperatures) - 1)])
            info["energy_eV_per_atom"] = float(energies[k])
            self._format(stream, atoms, {**info, **told})
        self._write(stream.getvalue().encode())
        self.frames += 1

    def state(self) -> dict[str, np.ndarray]:
        """Flush the file to the disk, and give how far it reaches: to be kept with the state of the walk."""
        if self._file is not None:
            os.fsync(self._file)
        return {"frames": np.array(self.frames), "bytes": np.array(self._end)}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Cut the file back to what it was when a state was kept; InputError where it is shorter."""
        frames, end = int(state["frames"]), int(state["bytes"])
        size = self.path.stat().st_size if self.path.is_file() else 0
        if size < end:
            raise InputError(
                f"{self.path}: holds {size} bytes, but the checkpoint tells of {end} ({frames} frames); bring the file"
                " back, or remove the checkpoint to begin again"
            )
        self.close()
        self.frames, self._end = frames, end
        if end:
            self._file = os.open(self.path, os.O_RDWR)
            os.ftruncate(self._file, end)

    def close(self) -> None:
        """Close the file; a further frame opens it again."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _write(self, frame: bytes) -> None:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            begin = os.O_TRUNC if self.frames == 0 else 0
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | begin, 0o644)
        try:
            os.lseek(self._file, self._end, os.SEEK_SET)
            left = memoryview(frame)
            while left:
                left = left[os.write(self._file, left) :]
        except OSError:
            os.ftruncate(self._file, self._end)
            raise
        self._end += len(frame)

    def _format(self, stream: io.StringIO, atoms: Any, info: Mapping[str, Any]) -> None:
        from ase.io import write

        columns = ["symbols", "positions"]
        if self.momenta and atoms.has("momenta"):
            columns.append("momenta")
        bare = atoms.copy()
        bare.info = dict(info)
        write(stream, bare, format="extxyz", columns=columns)


def read_trajectory(path: str | os.PathLike[str]) -> Iterator[Any]:
    """Give the frames of a trajectory one after the other as `ase.Atoms`, without a torn one at the end.

    Raises FileNotFoundError where there is no such file, InputError where its first line is no number of atoms.
    """
    from ase.io import read

    with open(path, encoding="utf-8") as stream:
        number = 0
        while first := stream.readline():
            lines = [first]
            count = _count(first)
            if count is None:
                if number == 0 and first.endswith("\n"):
                    raise InputError(f"{path}: begins with {first[:40].strip()!r}; wanted extended XYZ")
                return
            lines += [stream.readline() for _ in range(count + 1)]
            if not lines[-1].endswith("\n"):
                return
            yield read(io.StringIO("".join(lines)), format="extxyz")
            number += 1


def _count(line: str) -> int | None:
    text = line.strip()
    return int(text) if text.isdigit() else None
