"""Time the README's two lines in fresh environments and weigh what they install.

python tests/benchmarks/readme_cost.py [--quick] [--json FILE]

--quick leaves the test line out. Each line runs in a copy of the committed tree, so commit first.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from hea_sim.documents import versions, write_json  # noqa: E402
from tests.readme_lines import readme_line  # noqa: E402


def run_line(which: str) -> dict[str, float]:
    """Run one line on a clone in a new virtual environment."""
    with tempfile.TemporaryDirectory() as folder:
        clone, venv = Path(folder) / "checkout", Path(folder) / "venv"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        before = _megabytes(venv)
        setup, _, job = readme_line(which).partition(" && ")
        seconds = []
        for part in (setup, job):
            start = time.perf_counter()
            subprocess.run(["bash", "-c", f". {venv}/bin/activate && {part}"], cwd=clone, check=True)
            seconds.append(time.perf_counter() - start)
        return {"setup_seconds": seconds[0], "job_seconds": seconds[1], "installed_MB": _megabytes(venv) - before}


def _megabytes(folder: Path) -> float:
    return sum(p.lstat().st_size for p in folder.rglob("*") if p.is_file() and not p.is_symlink()) / 1e6


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    found = {which: run_line(which) for which in (("main",) if args.quick else ("main", "test"))}
    for which, row in found.items():
        print(
            f"{which:5} set-up {row['setup_seconds']:.0f} s, {row['installed_MB']:.0f} MB;"
            f" job {row['job_seconds']:.0f} s"
        )
    if args.json:
        write_json(args.json, {"lines": found, "versions": versions(), "machine": platform.machine()})


if __name__ == "__main__":
    main()
