"""Descriptors of many alloys, compiled: one pass over the elements that an alloy holds.

The layout of a row is that of `descriptors.all_names`: 20 rules of the field, 6 of pairs, then mean, deviation and
range of every element property. Columns of `properties` are in the order of `element_tables.PROPERTIES`.
"""

from __future__ import annotations

import math

import numba
import numpy as np

#: Gas constant, J/(mol K), as `hea-bench` rounds it.
GAS_CONSTANT = 8.314
#: Packing fractions of bcc and fcc, whose excess entropies Ye averages (doi:10.1016/j.scriptamat.2015.03.023).
PACKINGS = (0.68, 0.74)
#: Largest value of a ratio whose denominator may vanish (Omega, King's and Ye's phi, Lambda).
CEILING = 1000.0
N_RULES = 20
N_PAIRS = 6
_RADIUS, _MELTING, _VALENCE, _NEGATIVITY, _BULK, _SHEAR, _VOLUME = range(7)


@numba.njit(cache=True, nogil=True)
def fill_descriptors(x: np.ndarray, properties: np.ndarray, pairs: np.ndarray, out: np.ndarray) -> None:
    """Fill `out` (n, 26 + 3 p) from fractions (n, E), element properties (E, p) and pair enthalpies (E, E)."""
    n_elements = x.shape[1]
    held = np.empty(n_elements, np.int64)
    first = N_RULES + N_PAIRS
    for row in range(x.shape[0]):
        m = 0
        for e in range(n_elements):
            if x[row, e] > 0:
                held[m] = e
                m += 1
        _statistics(x[row], held[:m], properties, out[row, first:])
        _pair_terms(x[row], held[:m], pairs, out[row, N_RULES:first])
        _rules(x[row], held[:m], properties, out[row])


@numba.njit(cache=True, nogil=True)
def _statistics(x: np.ndarray, held: np.ndarray, properties: np.ndarray, out: np.ndarray) -> None:
    """Write mean, standard deviation (weighted by fraction) and range of each property."""
    n = properties.shape[1]
    for k in range(n):
        mean, low, high = 0.0, math.inf, -math.inf
        for e in held:
            value = properties[e, k]
            mean += x[e] * value
            low = min(low, value)
            high = max(high, value)
        variance = 0.0
        for e in held:
            variance += x[e] * (properties[e, k] - mean) ** 2
        out[k] = mean
        out[n + k] = math.sqrt(variance)
        out[2 * n + k] = math.nan if math.isnan(mean) else high - low


@numba.njit(cache=True, nogil=True)
def _pair_terms(x: np.ndarray, held: np.ndarray, pairs: np.ndarray, out: np.ndarray) -> None:
    """Write mixing enthalpy, lowest and highest pair, their weighted deviation, lowest and highest contribution."""
    total, weight, unknown = 0.0, 0.0, False
    low, high, low_part, high_part = math.inf, -math.inf, math.inf, -math.inf
    for i in range(len(held)):
        for j in range(i):
            a, b = held[i], held[j]
            enthalpy, w = pairs[a, b], x[a] * x[b]
            unknown = unknown or math.isnan(enthalpy)
            total += w * enthalpy
            weight += w
            low, high = min(low, enthalpy), max(high, enthalpy)
            low_part, high_part = min(low_part, 4 * w * enthalpy), max(high_part, 4 * w * enthalpy)
    if unknown:
        out[:] = math.nan
        return
    if weight == 0.0:
        out[:] = 0.0
        return
    spread = 0.0
    for i in range(len(held)):
        for j in range(i):
            a, b = held[i], held[j]
            spread += x[a] * x[b] * (pairs[a, b] - total / weight) ** 2
    out[0], out[1], out[2] = 4 * total, low, high
    out[3], out[4], out[5] = math.sqrt(spread / weight), low_part, high_part


@numba.njit(cache=True, nogil=True)
def _rules(x: np.ndarray, held: np.ndarray, properties: np.ndarray, out: np.ndarray) -> None:
    """Write the rules of the field; `out` already holds statistics and pair terms."""
    first = N_RULES + N_PAIRS
    enthalpy, lowest = out[N_RULES], out[N_RULES + 1]
    radius, melting = out[first + _RADIUS], out[first + _MELTING]
    entropy, largest, smallest_r, largest_r = 0.0, 0.0, math.inf, -math.inf
    mismatch, shear_mismatch = 0.0, 0.0
    for e in held:
        entropy -= x[e] * math.log(x[e])
        largest = max(largest, x[e])
        r = properties[e, _RADIUS]
        smallest_r, largest_r = min(smallest_r, r), max(largest_r, r)
        mismatch += x[e] * (1 - r / radius) ** 2
        shear_mismatch += x[e] * (1 - properties[e, _SHEAR] / out[first + _SHEAR]) ** 2
    entropy = max(entropy * GAS_CONSTANT, 0.0)
    delta = 100 * math.sqrt(mismatch)
    excess = 0.0
    for packing in PACKINGS:
        excess += _excess_entropy(x, held, properties, packing) / len(PACKINGS)
    free_energy = enthalpy - melting * entropy / 1000
    out[0] = delta
    out[1] = entropy
    out[2] = _ratio(melting * entropy, abs(enthalpy) * 1000)
    out[3] = out[first + properties.shape[1] + _NEGATIVITY]
    out[4] = out[first + _VALENCE]
    out[5] = melting
    out[6] = _elastic_energy(x, held, properties)
    out[7] = 100 * math.sqrt(shear_mismatch)
    out[8] = excess
    out[9] = free_energy
    out[10] = _ratio(-free_energy, abs(lowest))
    out[11] = _ratio(entropy - abs(enthalpy) * 1000 / melting, abs(excess))
    out[12] = _ratio(entropy, delta * delta)
    # a NaN radius leaves the extremes as they were, so the mean must say it
    out[13] = math.nan if math.isnan(radius) else _solid_angle(smallest_r, radius) / _solid_angle(largest_r, radius)
    out[14] = out[first + _NEGATIVITY]
    out[15] = len(held)
    out[16] = largest
    out[17] = melting * entropy / 1000
    out[18] = out[N_RULES + 2] - lowest
    out[19] = out[first + _SHEAR] * delta / 100


@numba.njit(cache=True, nogil=True)
def _ratio(above: float, below: float) -> float:
    if math.isnan(above) or math.isnan(below):
        return math.nan
    if below == 0.0:
        return CEILING
    return min(max(above / below, -CEILING), CEILING)


@numba.njit(cache=True, nogil=True)
def _solid_angle(radius: float, mean: float) -> float:
    both = radius + mean
    return 1 - math.sqrt((both * both - mean * mean) / (both * both))


@numba.njit(cache=True, nogil=True)
def _elastic_energy(x: np.ndarray, held: np.ndarray, properties: np.ndarray) -> float:
    """Give the elastic energy of atoms squeezed to one volume (doi:10.1016/j.mtla.2019.100222), kJ/mol."""
    stiffness, common = 0.0, 0.0
    for e in held:
        stiffness += x[e] * properties[e, _BULK]
        common += x[e] * properties[e, _BULK] * properties[e, _VOLUME]
    common /= stiffness
    energy = 0.0
    for e in held:
        volume = properties[e, _VOLUME]
        energy += x[e] * properties[e, _BULK] * (volume - common) ** 2 / (2 * volume)
    return energy


@numba.njit(cache=True, nogil=True)
def _excess_entropy(x: np.ndarray, held: np.ndarray, properties: np.ndarray, packing: float) -> float:
    """Give the excess entropy of mixed hard spheres (Mansoori 1971, doi:10.1063/1.1675048), J/(mol K)."""
    second, third = 0.0, 0.0
    for e in held:
        d = 2 * properties[e, _RADIUS]
        second += x[e] * d**2
        third += x[e] * d**3
    one, two = 0.0, 0.0
    for i in range(len(held)):
        for j in range(i):
            a, b = held[i], held[j]
            da, db = 2 * properties[a, _RADIUS], 2 * properties[b, _RADIUS]
            weight = x[a] * x[b] * (da - db) ** 2
            one += (da + db) * weight
            two += da * db * weight
    y1, y2, y3 = one / third, second / third**2 * two, second**3 / third**2
    zeta = 1 / (1 - packing)
    terms = 1.5 * (zeta**2 - 1) * y1 + 1.5 * (zeta - 1) ** 2 * y2
    return GAS_CONSTANT * (terms - (0.5 * (zeta - 1) * (zeta - 3) + math.log(zeta)) * (1 - y3))
