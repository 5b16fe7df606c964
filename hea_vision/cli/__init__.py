"""The command `hea`."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from hea_vision.cli.app import run

    run()
