"""Inputs from folders, and that the room is light."""

import subprocess
import sys

import pytest

import hea_vision.io as room
from hea_sim.errors import InputError, MissingFileError
from hea_vision.io import find_inputs


def test_files_as_given_folders_searched(tmp_path):
    for name in ("b/2.tif", "b/1.TIF", "a.png", ".hidden/x.tif", "b/.y.tif", "notes.txt", "c/d/e.tif"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "c/d/loop").symlink_to(tmp_path)
    got = find_inputs([tmp_path / "notes.txt", tmp_path, tmp_path / "a.png"], (".tif", ".png"))
    names = [path.relative_to(tmp_path).as_posix() for path in got]
    assert names == ["notes.txt", "a.png", "b/1.TIF", "b/2.tif", "c/d/e.tif"]


def test_nothing_found(tmp_path):
    with pytest.raises(InputError, match=r"\.tif \.png") as caught:
        find_inputs([tmp_path], (".tif", ".png"))
    assert str(tmp_path) in str(caught.value)
    with pytest.raises(InputError, match="no input"):
        find_inputs([], (".tif",))
    with pytest.raises(MissingFileError):
        find_inputs([tmp_path / "none"], (".tif",))


def test_every_public_name_is_there():
    assert all(getattr(room, name) is not None for name in room.__all__)
    with pytest.raises(AttributeError):
        room.nothing  # noqa: B018


def test_import_is_light():
    heavy = "('torch', 'hyperspy', 'rsciio', 'tifffile', 'imageio', 'scipy', 'PIL')"
    code = "import sys; import hea_vision.io as room; room.find_inputs; room.read_micrograph;"
    code += f"print(set({heavy}) & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"
