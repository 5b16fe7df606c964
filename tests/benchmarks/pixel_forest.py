"""The peer: a random forest on multiscale features of the z-scored image, as pixel classifiers use it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage
from sklearn.ensemble import RandomForestClassifier

from hea_vision.segmentation.examples import LabelledImage

SIGMAS_PX = (0.7, 1.0, 1.6, 3.5, 5.0, 10.0)


def features(image: np.ndarray) -> np.ndarray:
    """Give 24 features a pixel: Gaussian, gradient and two curvatures at six scales of the z-scored image."""
    z = (image - image.mean()) / image.std()
    found = []
    for sigma in SIGMAS_PX:
        found.append(ndimage.gaussian_filter(z, sigma))
        found.append(ndimage.gaussian_gradient_magnitude(z, sigma))
        yy, xx, xy = (ndimage.gaussian_filter(z, sigma, order=o) for o in ((2, 0), (0, 2), (1, 1)))
        half, apart = (yy + xx) / 2, np.hypot((yy - xx) / 2, xy)
        found += [half + apart, half - apart]
    return np.stack(found, -1).astype(np.float32)


def train(pictures: Sequence[LabelledImage], seed: int, pixels_a_picture: int = 20_000) -> RandomForestClassifier:
    rng = np.random.default_rng(seed)
    x, y = [], []
    for picture in pictures:
        pick = rng.choice(picture.image.size, min(pixels_a_picture, picture.image.size), replace=False)
        x.append(features(picture.image).reshape(-1, 24)[pick])
        y.append(picture.labels.ravel()[pick])
    forest = RandomForestClassifier(100, min_samples_leaf=3, n_jobs=1, random_state=seed)
    return forest.fit(np.concatenate(x), np.concatenate(y))


def label(forest: RandomForestClassifier, image: np.ndarray) -> np.ndarray:
    f = features(image)
    return np.asarray(forest.predict(f.reshape(-1, f.shape[-1])).reshape(image.shape), np.uint8)
