"""The templates of the pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hea_vision.report.text import format_estimate, format_sets, measured_text, predicted_text

if TYPE_CHECKING:
    from jinja2 import Template


def load_template(name: str) -> Template:
    """Load a template of this folder, with the filters that templates use; what it prints is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("hea_vision", "report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["estimate"] = format_estimate
    environment.filters["sets"] = format_sets
    environment.filters["measured"] = measured_text
    environment.filters["predicted"] = predicted_text
    return environment.get_template(name)
