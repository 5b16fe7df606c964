"""The house stands as CONTRIBUTING.md says."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from hea_sim.errors import MissingDependencyError


@pytest.mark.parametrize("package", ["hea_sim", "hea_vision"])
def test_import_is_light_and_lists_its_names(package: str) -> None:
    heavy = "torch hyperspy napari qtpy numba scipy skimage matplotlib ase xraydb".split()
    code = f"""
import sys, {package} as package
assert not set(sys.modules) & set({heavy!r})
assert package.__all__ and set(package.__all__) <= set(dir(package))
names = {{name: getattr(package, name) for name in package.__all__}}
for name, value in names.items():  # a submodule of the same name would take the place of a function
    assert getattr(package, name) is value and type(value).__name__ != "module", name
assert not set(sys.modules) & {{"torch", "napari", "qtpy"}}
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_unknown_names_are_attribute_errors() -> None:
    import hea_sim

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = hea_sim.nothing


def _modules(root: Path) -> list[Path]:
    return [p for package in ("hea_sim", "hea_vision") for p in sorted((root / package).rglob("*.py"))]


def test_every_module_loads_or_says_which_extra_it_needs(root: Path) -> None:
    for path in _modules(root):
        name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        try:
            importlib.import_module(name)
        except MissingDependencyError as error:
            assert "pip install" in str(error), name


def test_files_and_functions_stay_short(root: Path) -> None:
    for path in _modules(root):
        source = path.read_text(encoding="utf-8")
        assert source.count("\n") <= 450, path
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                assert (node.end_lineno or 0) - node.lineno < 75, f"{path}: {node.name}"


def test_nothing_unsafe_and_no_network(root: Path) -> None:
    for path in _modules(root):
        source = path.read_text(encoding="utf-8")
        for word in ("import pickle", "allow_pickle=True", "urllib.request", "import requests", "np.random.seed("):
            assert word not in source, f"{path}: {word}"


def test_vision_never_enters_sim(root: Path) -> None:
    for path in sorted((root / "hea_sim").rglob("*.py")):
        assert "hea_vision" not in path.read_text(encoding="utf-8"), path
