"""The README's promises are tests."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from hea_vision.cli.app import app

from .readme_lines import readme_line


def test_two_lines_set_up_and_run(root: Path) -> None:
    main, test = readme_line("main"), readme_line("test")
    assert main.startswith("pip install -c constraints.txt ") and "hea loop sample_data/" in main
    assert test.startswith("pip install -c constraints.txt ") and test.endswith("pytest")
    folder = next(w for w in shlex.split(main) if w.startswith("sample_data/"))
    assert (root / folder / "campaign.toml").is_file()


def test_shell_examples_name_real_verbs_and_options(root: Path) -> None:
    import typer

    command = typer.main.get_command(app)
    text = (root / "README.md").read_text(encoding="utf-8")
    lines = re.findall(r"^(?:\$ )?(hea .+)$", text, flags=re.MULTILINE)
    assert len(lines) >= 6
    for line in lines:
        words = shlex.split(line.split("#")[0])[1:]
        verb = command.commands[words[0]]  # type: ignore[attr-defined]
        if hasattr(verb, "commands"):
            verb = verb.commands[words[1]]
        known = {o for p in verb.params for o in p.opts}
        assert {w for w in words if w.startswith("--")} <= known, line


def test_python_examples_run(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (root / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.+?)```", text, flags=re.DOTALL)
    assert blocks
    monkeypatch.chdir(root)
    for block in blocks:
        namespace: dict[str, object] = {}
        exec(compile(block, "README.md", "exec"), namespace)
        assert namespace["call"].in_scope  # type: ignore[attr-defined]
        assert abs(namespace["run"].lattice_A.value - 3.22) < 0.03  # type: ignore[attr-defined]
