"""Make the sample campaign: a pattern and two micrographs of NbMoTaW from the project's own forward models.

Run from the root of the checkout: python sample_data/nbmotaw/make.py
Everything is seeded; because the loop simulates the same alloy with the same models, its agreement is `assumed`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile

import hea_sim as hs
from hea_sim.diffraction.profile import Instrument
from hea_sim.microscopy import GrainForm, SemInstrument, draw_grains, photograph
from hea_sim.microscopy.grains import random_contrast
from hea_sim.records import Pattern
from hea_vision.io import write_pattern

HERE = Path(__file__).parent
SEED = 20
TEMPERATURE_K = 1800.0


def make_pattern(rng: np.random.Generator) -> Pattern:
    """Give the pattern of a sampled cell as a laboratory diffractometer with a Cu tube would count it."""
    run = hs.anneal("NbMoTaW", None, size=(10, 10, 10), temperatures_K=[3500.0, 2500.0, TEMPERATURE_K], seed=SEED)
    angles = np.arange(25.0, 120.0001, 0.02)
    instrument = Instrument(w_deg2=0.02, u_deg2=0.03, eta=0.5, displacement_deg=0.03)
    clean = hs.powder_pattern(run.atoms, "CuKa", two_theta_deg=angles, instrument=instrument, b_iso_A2=0.35)
    counts = 4200.0 * clean.intensity / clean.intensity.max()
    counts += 160.0 + 220.0 * np.exp(-(angles - 25.0) / 18.0)
    return Pattern(
        two_theta_deg=angles,
        intensity=rng.poisson(counts).astype(float),
        radiation="CuKa",
        source="sample NbMoTaW",
        metadata={"synthetic": True},
    )


def make_etched(rng: np.random.Generator) -> np.ndarray:
    """Draw an etched polycrystal with grains of 18 um, as a light microscope shows it."""
    contrast = random_contrast(rng, "etched", 45.0)
    scene = draw_grains(rng, (384, 512), grain_size_px=45.0, form=GrainForm(size_spread=0.35), contrast=contrast)
    return photograph(scene.reflectance, SemInstrument(blur_px=0.8, counts_per_pixel=600.0), rng)


def write_picture(name: str, image: np.ndarray, pixel_size_nm: float) -> None:
    """Write an 8-bit TIFF with its pixel size."""
    grey = np.clip(np.round(255 * image), 0, 255).astype(np.uint8)
    per_um = 1000.0 / pixel_size_nm
    tifffile.imwrite(
        HERE / name, grey, imagej=True, resolution=(per_um, per_um), metadata={"unit": "um"}, compression=None
    )


def main() -> None:
    """Write pattern.xy, sem.tif and etched.tif beside this script."""
    rng = np.random.default_rng(SEED)
    write_pattern(HERE / "pattern.xy", make_pattern(rng))
    picture = hs.virtual_micrograph(
        modality="sem",
        shape=(384, 512),
        pixel_size_nm=60.0,
        pore_area_fraction=0.004,
        second_phase_area_fraction=0.0,
        seed=SEED,
    )
    write_picture("sem.tif", picture.image, picture.pixel_size_nm)
    write_picture("etched.tif", make_etched(np.random.default_rng(SEED)), 400.0)


if __name__ == "__main__":
    main()
