"""Options that commands of several files share."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print the results document, and nothing else, on stdout.")]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Seed of every random choice.")]
