"""Self-contained HTML pages with figures."""

from hea_sim._lazy import lazy_names

_NAMES = {
    "render_loop": "page",
    "fraction_figure": "distributions",
    "pattern_figure": "pattern_plot",
    "micrograph_figure": "figures",
    "save_figure": "figures",
    "simulation_figure": "figures",
    "size_figure": "distributions",
}
__all__ = sorted(_NAMES)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
