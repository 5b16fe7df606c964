"""Scalars of a moment tensor potential: which contractions of moments a level holds, and how to compute them cheaply.

Shapeev, Multiscale Model. Simul. 14, 1153 (2016), doi:10.1137/15M1054183; levels as in Novikov et al., Mach. Learn.:
Sci. Technol. 2, 025002 (2021), doi:10.1088/2632-2153/abc9fe.

| symbol | here | name in mlip-2 files |
|---|---|---|
| M_{mu,nu}, component x^a y^b z^c | `basic` (mu, a, b, c) | alpha_index_basic |
| m[out] += factor m[left] m[right] | `products` (left, right, factor, out) | alpha_index_times |
| B_s = m[scalars[s]] | `scalars` | alpha_moment_mapping |

A scalar is a graph: its vertices are moments M_{mu,nu}, its edges are contracted indices, so nu is the number of edges
at a vertex. Its level is the sum over vertices of 2 + 4 mu + nu, that is 2 + 4 mu a vertex and 2 an edge. A level holds
all such graphs up to it that differ, with at most four vertices, as in the published potentials.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, combinations_with_replacement, permutations, product
from math import comb, factorial, prod

import numpy as np

from hea_sim.errors import InputError

#: Levels that `basis_of_level` builds.
LEVELS = range(2, 25, 2)
#: Most moments in one contraction.
MOST_FACTORS = 4

Powers = tuple[int, int, int]
#: A vertex with the leaves it has absorbed: (mu, ((leaf, edges), ...)).
Vertex = tuple[int, tuple]
#: Factors of products, by the numbers of both moments.
Terms = dict[tuple[int, int], int]
#: Vertices and the number of edges between pairs of them.
Graph = tuple[tuple[Vertex, ...], dict[tuple[int, int], int]]


@dataclass(frozen=True, kw_only=True, eq=False)
class MomentBasis:
    """Hold how the scalars are computed: basic moments, products of moments, and which of them are the scalars.

    `basic` (basic, 4) of mu and the powers of the unit vector's components; `products` (products, 4) of left, right,
    integer factor, out, where left and right are below out; `scalars` (scalars,) indices
    of moments; `n_moments` of basic moments and products together.
    """

    basic: np.ndarray
    products: np.ndarray
    scalars: np.ndarray
    n_moments: int

    def __post_init__(self) -> None:
        problem = _fault_of(self.basic, self.products, self.scalars, self.n_moments)
        if problem:
            raise InputError(f"moments of an MTP: {problem}")

    @property
    def radial_functions(self) -> int:
        """Number of radial functions f_mu that the moments need."""
        return int(self.basic[:, 0].max()) + 1

    @property
    def highest_rank(self) -> int:
        """Highest rank nu of a basic moment."""
        return int(self.basic[:, 1:].sum(1).max())


def _fault_of(basic: np.ndarray, products: np.ndarray, scalars: np.ndarray, n_moments: int) -> str:
    """Say what is wrong with the tables of a basis, "" if nothing is."""
    if basic.ndim != 2 or basic.shape[1] != 4 or not len(basic) or basic.min() < 0:
        return "wanted at least one basic moment of four non-negative numbers (mu, a, b, c)"
    if products.ndim != 2 or products.shape[1] != 4:
        return "wanted products of four numbers (left, right, factor, out)"
    if not len(basic) <= n_moments:
        return f"{len(basic)} basic moments, but {n_moments} moments in all; wanted no fewer"
    if n_moments > len(basic) + len(products):
        return (
            f"{n_moments} moments, but {len(basic)} basic ones and {len(products)} products can make no more than both"
        )
    if not len(scalars) or scalars.min() < 0 or scalars.max() >= n_moments:
        return f"a scalar lies outside the {n_moments} moments"
    if not len(products):
        return ""
    left, right, _, out = products.T
    if min(left.min(), right.min()) < 0 or products[:, [0, 1, 3]].max() >= n_moments or out.min() < len(basic):
        return f"a product reads or writes outside the {n_moments} moments, or onto a basic one"
    late = np.maximum(left, right) >= out
    return f"product {int(np.argmax(late))} reads a moment that is not below its own" if late.any() else ""


@lru_cache(maxsize=32)
def basis_of_level(level: int) -> MomentBasis:
    """Build all scalars of a level and a short chain of products that computes them.

    `level` is even, 2 to 24; level 16 takes a fraction of a second, level 24 ten seconds, once a process.

    >>> [len(basis_of_level(level).scalars) for level in (2, 4, 6, 8, 10)]
    [1, 2, 5, 9, 16]
    """
    if level not in LEVELS:
        raise InputError(f"level {level} of an MTP; wanted an even number from {LEVELS[0]} to {LEVELS[-1]}")
    builder = _Builder()
    found = [builder.scalar(graph) for graph in graphs_of_level(level)]
    return builder.finish(found)


def graphs_of_level(level: int) -> list[Graph]:
    """List the graphs of a level, each once, small ones first."""
    found: dict[tuple, tuple[int, Graph]] = {}
    for size in range(1, min(MOST_FACTORS, level // 2) + 1):
        pairs = list(combinations(range(size), 2))
        for mus in combinations_with_replacement(range((level - 2) // 4 + 1), size):
            spare = level - sum(2 + 4 * mu for mu in mus)
            for edges in range(spare // 2 + 1 if spare >= 0 else 0):
                for counts in _compositions(edges, len(pairs)):
                    key = _canonical(mus, dict(zip(pairs, counts, strict=True)))
                    graph = (tuple((mu, ()) for mu in mus), _connected(pairs, counts))
                    found.setdefault(key, (level - spare + 2 * edges, graph))
    return [graph for _, graph in sorted(found.values(), key=lambda entry: (entry[0], len(entry[1][0])))]


def _connected(pairs: list[tuple[int, int]], counts: tuple[int, ...]) -> dict[tuple[int, int], int]:
    return {pair: count for pair, count in zip(pairs, counts, strict=True) if count}


def _compositions(total: int, parts: int) -> Iterator[tuple[int, ...]]:
    """Yield all tuples of non-negative integers with a sum."""
    if parts == 0:
        if total == 0:
            yield ()
        return
    for first in range(total + 1):
        for rest in _compositions(total - first, parts - 1):
            yield (first, *rest)


def _canonical(mus: tuple[int, ...], edges: dict[tuple[int, int], int]) -> tuple:
    """Give a key that graphs share if and only if they are the same but for the order of vertices."""
    pairs = list(combinations(range(len(mus)), 2))
    return min(
        (tuple(mus[v] for v in order), tuple(edges[min(order[i], order[j]), max(order[i], order[j])] for i, j in pairs))
        for order in permutations(range(len(mus)))
        if all(mus[order[k]] <= mus[order[k + 1]] for k in range(len(mus) - 1))
    )


@lru_cache(maxsize=64)
def powers_of_rank(rank: int) -> tuple[Powers, ...]:
    """List the powers (a, b, c) with a + b + c = rank, x first."""
    return tuple((a, b, rank - a - b) for a in range(rank, -1, -1) for b in range(rank - a, -1, -1))


def _plus(left: Powers, right: Powers) -> Powers:
    return left[0] + right[0], left[1] + right[1], left[2] + right[2]


def _multinomial(powers: Powers) -> int:
    a, b, c = powers
    return factorial(a + b + c) // (factorial(a) * factorial(b) * factorial(c))


@lru_cache(maxsize=4096)
def _splits(powers: Powers, rank: int) -> tuple[tuple[Powers, Powers, int], ...]:
    """List the ways to give `rank` of the indices to a second factor: (first, second, number of ways)."""
    found = []
    for second in powers_of_rank(rank):
        first = tuple(p - q for p, q in zip(powers, second, strict=True))
        if min(first) >= 0:
            found.append((first, second, prod(comb(p, q) for p, q in zip(powers, second, strict=True))))
    return tuple(found)  # type: ignore[arg-type]


class _Builder:
    """Collect the moments that scalars need, each component once.

    Moments are numbered as they come up; `finish` puts the basic ones first. Tensors whose open indices all end at one
    vertex, which is symmetric, are stored symmetrised, as sums over the ways (not means), so that factors are integers.
    """

    def __init__(self) -> None:
        self._number: dict[tuple, int] = {}
        self._terms: dict[int, Terms] = {}

    def scalar(self, graph: Graph) -> int:
        """Give the moment of a graph without open indices."""
        parts = sorted((_fold(part) for part in _components(graph)), key=repr)
        return self._product_of([self._closed(part) for part in parts])

    def _product_of(self, numbers: list[int]) -> int:
        if len(numbers) == 1:
            return numbers[0]
        numbers = sorted(numbers)
        pair = (self._product_of(numbers[:-1]), numbers[-1])
        return self._moment(("times", *sorted(pair)), lambda: {(min(pair), max(pair)): 1})

    def _closed(self, graph: Graph) -> int:
        vertices, edges = graph
        if len(vertices) == 1:
            return self._vertex(vertices[0], (0, 0, 0))
        return self._cluster(vertices, edges, (), ())

    def _moment(self, key: tuple, terms: Callable[[], Terms] | None) -> int:
        """Give the number of a moment; one that is new is made of `terms`, or is basic."""
        if key not in self._number:
            found = terms() if terms else None  # makes what it needs first, which has the lower numbers
            self._number[key] = len(self._number)
            if found is not None:
                self._terms[self._number[key]] = found
        return self._number[key]

    def _vertex(self, vertex: Vertex, powers: Powers) -> int:
        """Give a component of a moment that has absorbed leaves."""
        mu, leaves = vertex
        if not leaves:
            return self._moment(("basic", mu, *powers), None)
        leaf, rank = leaves[-1]
        inner = (mu, leaves[:-1])
        return self._moment(
            ("vertex", vertex, powers),
            lambda: _gathered(
                (self._vertex(inner, _plus(powers, inside)), self._vertex(leaf, inside), _multinomial(inside))
                for inside in powers_of_rank(rank)
            ),
        )

    def _cluster(
        self,
        vertices: tuple[Vertex, ...],
        edges: dict[tuple[int, int], int],
        legs: tuple[tuple[int, ...], ...],
        powers: tuple[Powers, ...],
    ) -> int:
        """Give a component of contracted moments with groups of open indices.

        Group w holds `legs[w][v]` indices of vertex v; `powers[w]` says which component of the group.
        """
        if len(vertices) == 1:
            total = (0, 0, 0)
            for one in powers:
                total = _plus(total, one)
            return self._vertex(vertices[0], total)
        key = _cluster_key(vertices, edges, legs, powers)
        return self._moment(key, lambda: _gathered(self._merged(vertices, edges, legs, powers)))

    def _merged(
        self,
        vertices: tuple[Vertex, ...],
        edges: dict[tuple[int, int], int],
        legs: tuple[tuple[int, ...], ...],
        powers: tuple[Powers, ...],
    ) -> Iterator[tuple[int, int, int]]:
        """Yield the products that contract one vertex with all others."""
        last = _cheapest_last(len(vertices), edges, legs)
        others = [v for v in range(len(vertices)) if v != last]
        bonds = tuple(edges.get((min(v, last), max(v, last)), 0) for v in others)
        inner_edges = {
            (i, j): edges[pair]
            for (i, j) in combinations(range(len(others)), 2)
            if (pair := (others[i], others[j])) in edges
        }
        groups = (*(tuple(group[v] for v in others) for group in legs), bonds)
        kept = [w for w, group in enumerate(groups) if sum(group)]
        for inside in powers_of_rank(sum(bonds)):
            for split in product(*(_splits(p, group[last]) for p, group in zip(powers, legs, strict=True))):
                mine, ways = inside, _multinomial(inside)
                for _, second, number in split:
                    mine, ways = _plus(mine, second), ways * number
                rest = (*(first for first, _, _ in split), inside)
                inner = self._cluster(
                    tuple(vertices[v] for v in others), inner_edges,
                    tuple(groups[w] for w in kept), tuple(rest[w] for w in kept),
                )  # fmt: skip
                yield inner, self._vertex(vertices[last], mine), ways

    def finish(self, scalars: list[int]) -> MomentBasis:
        """Number the moments: whole basic tensors first, then the others in the order they were made."""
        tensors = sorted({(key[1], sum(key[2:])) for key in self._number if key[0] == "basic"})
        basic = [(mu, *powers) for mu, rank in tensors for powers in powers_of_rank(rank)]
        place = {("basic", *one): k for k, one in enumerate(basic)}
        number = np.empty(len(self._number), np.int64)
        made = sorted(self._terms)
        number[made] = len(basic) + np.arange(len(made))
        for key, old in self._number.items():
            if key[0] == "basic":
                number[old] = place[key]
        products = [
            (*sorted((number[left], number[right])), factor, number[out])
            for out in made
            for (left, right), factor in self._terms[out].items()
        ]
        return MomentBasis(
            basic=np.array(basic, np.int64),
            products=np.array(products, np.int64).reshape(-1, 4),
            scalars=number[scalars],
            n_moments=len(basic) + len(made),
        )


def _gathered(terms: Iterator[tuple[int, int, int]]) -> Terms:
    """Add the factors of equal products."""
    found: Terms = {}
    for left, right, factor in terms:
        pair = (min(left, right), max(left, right))
        found[pair] = found.get(pair, 0) + factor
    return found


def _components(graph: Graph) -> list[Graph]:
    """Split a graph into its connected parts."""
    vertices, edges = graph
    part = list(range(len(vertices)))
    for i, j in edges:
        part = [part[i] if p == part[j] else p for p in part]
    found = []
    for label in sorted(set(part)):
        members = [v for v in range(len(vertices)) if part[v] == label]
        at = {v: k for k, v in enumerate(members)}
        inner = {(at[i], at[j]): count for (i, j), count in edges.items() if part[i] == label}
        found.append((tuple(vertices[v] for v in members), inner))
    return found


def _fold(graph: Graph) -> Graph:
    """Let vertices absorb leaves, those with most edges first, until two vertices or no leaf remain."""
    vertices, edges = list(graph[0]), dict(graph[1])
    alive = set(range(len(vertices)))
    while len(alive) > 2:
        leaves = [v for v in alive if sum(v in pair for pair in edges) == 1]
        if not leaves:
            break
        pair_of = {v: next(pair for pair in edges if v in pair) for v in leaves}
        leaf = max(leaves, key=lambda v: (edges[pair_of[v]], repr(vertices[v]), -v))
        pair = pair_of[leaf]
        stem = pair[0] if pair[1] == leaf else pair[1]
        mu, absorbed = vertices[stem]
        vertices[stem] = (mu, (*absorbed, (vertices[leaf], edges.pop(pair))))
        alive.remove(leaf)
    at = {v: k for k, v in enumerate(sorted(alive))}
    return tuple(vertices[v] for v in sorted(alive)), {(at[i], at[j]): count for (i, j), count in edges.items()}


def _cluster_key(
    vertices: tuple[Vertex, ...],
    edges: dict[tuple[int, int], int],
    legs: tuple[tuple[int, ...], ...],
    powers: tuple[Powers, ...],
) -> tuple:
    """Give a key that equal components of equal clusters share, whatever the order of vertices and groups."""
    pairs = list(combinations(range(len(vertices)), 2))
    return min(
        (
            "cluster",
            tuple(vertices[v] for v in order),
            tuple(edges.get((min(order[i], order[j]), max(order[i], order[j])), 0) for i, j in pairs),
            tuple(sorted((tuple(group[v] for v in order), p) for group, p in zip(legs, powers, strict=True))),
        )
        for order in permutations(range(len(vertices)))
    )


def _cheapest_last(size: int, edges: dict[tuple[int, int], int], legs: tuple[tuple[int, ...], ...]) -> int:
    """Choose the vertex to contract last: the one that leaves the fewest components to the others together."""

    def components(last: int) -> tuple[int, int]:
        inside = sum(count for pair, count in edges.items() if last in pair)
        number = comb(inside + 2, 2)
        for group in legs:
            number *= comb(sum(group) - group[last] + 2, 2)
        return number, last

    return min(range(size), key=components)
