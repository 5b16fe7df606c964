"""The command `hea`: verbs and options in `app`, what they do in the modules `..._verbs`."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from hea_vision.cli.app import run

    run()
