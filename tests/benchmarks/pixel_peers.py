"""Pixel classifiers of others, each taught on the same labelled pictures as `pixel_forest`.

`trainsegmentation` is the Python form of Fiji's Trainable Weka Segmentation, with the features that are set there by
default; install it for this benchmark with `pip install trainsegmentation`. scikit-image's classifier comes with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from hea_vision.segmentation.examples import LabelledImage

Labeller = Callable[[np.ndarray], np.ndarray]


def train_scikit_image(pictures: Sequence[LabelledImage], seed: int, pixels_a_picture: int) -> Labeller:
    """Teach `skimage.future.TrainableSegmenter` with features at scales from 1 to 16 pixels."""
    from skimage.feature import multiscale_basic_features
    from skimage.future import TrainableSegmenter

    features = partial(multiscale_basic_features, sigma_min=1, sigma_max=16, workers=1)
    forest = RandomForestClassifier(100, n_jobs=1, random_state=seed)
    segmenter = TrainableSegmenter(clf=forest, features_func=features)
    seen = [features(p.image.astype(np.float32)) for p in pictures]
    forest.fit(*_strokes(seen, pictures, seed, pixels_a_picture))
    # It takes no pictures of several sizes at once, so it is given its forest as taught.
    return lambda image: np.asarray(segmenter.predict(image.astype(np.float32)), np.uint8)


def train_weka(pictures: Sequence[LabelledImage], seed: int, pixels_a_picture: int) -> Labeller:
    """Teach `trainsegmentation` with the forest of its own defaults on one core."""
    import trainsegmentation as weka

    chosen = [
        weka.Gaussian_blur, weka.Sobel_filter, weka.Hessian, weka.Difference_of_Gaussians, weka.Membrane_projections,
    ]  # fmt: skip
    forest = RandomForestClassifier(50, max_depth=10, max_samples=0.05, n_jobs=1, random_state=seed)
    seen = [weka.get_features(chosen, p.image.astype(float))[1] for p in pictures]
    x, y = _strokes(seen, pictures, seed, pixels_a_picture)
    forest = weka.train_classifier(y, x, chosen, clf=forest)
    return lambda image: np.asarray(weka.classify_image(image.astype(float), forest, chosen), np.uint8)


def _strokes(
    features: Sequence[np.ndarray], pictures: Sequence[LabelledImage], seed: int, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Give features (pixels, n) and classes (pixels,) of some pixels of each picture."""
    rng = np.random.default_rng(seed)
    x, y = [], []
    for seen, picture in zip(features, pictures, strict=True):
        pick = rng.choice(picture.image.size, min(count, picture.image.size), replace=False)
        x.append(seen.reshape(-1, seen.shape[-1])[pick])
        y.append(picture.labels.ravel()[pick])
    return np.concatenate(x), np.concatenate(y)


#: Name of a peer -> the package it needs, and what teaches it.
PEERS: Mapping[str, tuple[str, Callable[[Sequence[LabelledImage], int, int], Labeller]]] = {
    "scikit-image": ("skimage", train_scikit_image),
    "trainsegmentation": ("trainsegmentation", train_weka),
}


def missing(peer: str) -> str | None:
    """Say why a peer cannot be timed, or nothing."""
    package, _ = PEERS[peer]
    return None if find_spec(package) else f"not installed: pip install {package}"
