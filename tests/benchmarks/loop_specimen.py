"""Run the real specimen through the loop and print its claims and controls.

python tests/benchmarks/loop_specimen.py [--quick] [--data FOLDER] [--json FILE]

Nothing is set but the campaign file tests/data/nbmotativ.toml. --quick samples a smaller cell.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

from hea_sim.documents import versions, write_json
from hea_vision.loop import run_loop
from hea_vision.report.text import measured_text, predicted_text

ROOT = Path(__file__).parent.parent.parent
CAMPAIGN = ROOT / "tests/data/nbmotativ.toml"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--data", type=Path, default=os.environ.get("HEA_DATA"))
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if not args.data:
        raise SystemExit("name the folder of the real data sets with --data or HEA_DATA")
    config = CAMPAIGN
    with tempfile.TemporaryDirectory() as folder:
        if args.quick:
            config = Path(folder) / "quick.toml"
            config.write_text("cell_size = 6\n" + CAMPAIGN.read_text(encoding="utf-8"), encoding="utf-8")
        start = time.perf_counter()
        result = run_loop(Path(args.data) / "specimens/nbmotativ", Path(folder) / "out", config=config)
        seconds = time.perf_counter() - start
    rows = [
        {
            "against": c.against, "claim": c.claim, "measured": measured_text(c), "expected": predicted_text(c),
            "z": c.z, "resolvable": c.resolvable_difference, "verdict": c.verdict, "reason": c.reason,
        }
        for c in (*result.claims, *result.controls)
    ]  # fmt: skip
    for row in rows:
        print(f"{row['against']:16} {row['claim']:45} {row['measured']:26} {row['expected']:32} {row['verdict']}")
    for name, (_, labels) in result.images.items():
        print(f"{name}: {dict(labels.objects)}")
    print(f"{seconds:.1f} s")
    if args.json:
        images = {name: dict(labels.objects) for name, (_, labels) in result.images.items()}
        write_json(args.json, {"claims": rows, "images": images, "seconds": seconds, "versions": versions()})


if __name__ == "__main__":
    main()
