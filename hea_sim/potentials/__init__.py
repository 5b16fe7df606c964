"""Energy of atoms: one contract for fitted, published and universal potentials."""

from hea_sim._lazy import lazy_names

_NAMES = {
    "AtomisticResult": "contract",
    "MtpModel": "mtp",
    "Potential": "contract",
    "SitePotential": "contract",
    "SnapModel": "snap",
    "check_potential": "checks",
    "find_neighbours": "environment",
    "load_eam": "eam_files",
    "load_potential": "loading",
    "new_mtp": "mtp",
    "on_device": "mtp_device",
    "on_triton": "mtp_triton",
    "raise_if_failed": "checks",
    "read_mtp": "mtp_files",
    "read_snap": "snap_files",
    "universal_potential": "universal",
    "write_mtp": "mtp_files",
    "write_snap": "snap_files",
    "zbl_core": "zbl",
    "zhou_eam": "zhou",
}
__all__ = sorted(_NAMES)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
