"""Print the README's command lines, so that CI runs what the reader is told.

python tests/readme_lines.py main | test
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def readme_line(which: str) -> str:
    """Give the line of the code block that follows the marker `<!-- main -->` or `<!-- test -->`."""
    found = re.search(rf"<!-- {which} -->\n```\w*\n(.+)\n```", README.read_text(encoding="utf-8"))
    if not found:
        raise SystemExit(f"README.md: no code block of one line after <!-- {which} -->")
    return found.group(1)


if __name__ == "__main__":
    print(readme_line(sys.argv[1]))
