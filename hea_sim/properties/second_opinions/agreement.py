"""Opinions of several sources on one alloy, and how far they agree.

Every source is brought to one form: probabilities p of the classes of a question. What it tells beyond the base rates b
of all counted alloys, w = sum_k p_k log2(p_k / b_k) in bits, is its weight: a verdict under which alloys were as
everywhere else weighs nothing. Sources that rest on the same knowledge form one group, for which the one that tells
most speaks: a second rule drawn from the same alloys is no second witness. Two groups overlap by
O = sum_k min(p_k, q_k): 1 where they say the same, 0 where they have nothing in common.

| symbol | here |
|---|---|
| w of a source | `Opinion.weight_bits` |
| p of all groups, mean by weight | `Answer.pooled` |
| A = sum_{g<h} w_g w_h O_gh / sum_{g<h} w_g w_h | `Answer.agreement`; None with fewer than two groups |
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from hea_sim.records import Estimate

#: A source that tells less than this is neither for nor against.
LEAST_BITS = 0.05
#: What knowledge a source rests on; sources of one group are not independent.
REPORTED, THERMODYNAMICS, ENERGIES = "reported alloys", "assessed thermodynamics", "energies of atoms"


@dataclass(frozen=True, kw_only=True)
class Opinion:
    """Hold what one source says to one question, "structure" or "family".

    `says` in words; `probabilities` of the classes, empty where the source refuses; `trust` says how far and why;
    `group` what knowledge it rests on; `agrees` where it makes the pooled answer likelier than its base rate, None
    where it tells too little.
    """

    source: str
    question: str
    says: str
    probabilities: Mapping[str, float]
    trust: str
    group: str
    weight_bits: float = 0.0
    agrees: bool | None = None


@dataclass(frozen=True, kw_only=True)
class StrengthOpinion:
    """Hold what one source says of the yield strength; `estimate` is None where it refuses, with the reason in `says`.

    `agrees` tells whether its interval meets those of all others; None where there is no other with an interval.
    """

    source: str
    says: str
    estimate: Estimate | None
    trust: str
    group: str
    agrees: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Hold the joint answer to one question: pooled probabilities, agreement between and within groups.

    `voices` names the source that speaks for each group; `votes` counts groups that make the likeliest class likelier
    than its base rate, and all groups that tell enough.
    """

    question: str
    pooled: Mapping[str, float]
    likeliest: str
    agreement: float | None
    within: Mapping[str, float]
    voices: Mapping[str, str]
    votes: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class AgreementTable:
    """Hold the opinions on one alloy, a row a source, with the joint answer to each question."""

    formula: str
    temperature_K: float | None
    test_temperature_K: float
    opinions: tuple[Opinion, ...]
    answers: Mapping[str, Answer]
    strengths: tuple[StrengthOpinion, ...] = ()
    notes: tuple[str, ...] = field(default_factory=tuple)

    @property
    def agreement(self) -> float | None:
        """Give the agreement of independent sources on the structure, 0 to 1; None with fewer than two."""
        return self.answers["structure"].agreement if "structure" in self.answers else None

    def as_text(self) -> str:
        """Write the table for reading."""
        at = "" if self.temperature_K is None else f", equilibrium at {self.temperature_K:g} K"
        lines = [f"{self.formula}{at}"]
        for question in dict.fromkeys(one.question for one in self.opinions):
            lines.append(self.headline(question))
            rows = [one for one in self.opinions if one.question == question]
            told = [one for one in rows if one.agrees is not None or not one.probabilities]
            lines += [_row(one.source, one.says, one.agrees, one.trust, one.group) for one in told]
            if len(told) < len(rows):
                silent = ", ".join(one.source for one in rows if one not in told)
                lines.append(f"    tell nothing beyond the base rates: {silent}")
        if self.strengths:
            lines.append(f"yield strength at {self.test_temperature_K:g} K:")
            lines += [_row(one.source, one.says, one.agrees, one.trust, one.group) for one in self.strengths]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def headline(self, question: str) -> str:
        """Write the joint answer to a question in one line."""
        answer = self.answers.get(question)
        if answer is None:
            return f"{question}: nobody tells anything"
        score = "no independent second opinion" if answer.agreement is None else f"agreement {answer.agreement:.2f}"
        for_it, of = answer.votes
        share = share_text(answer.pooled[answer.likeliest])
        return f"{question}: {answer.likeliest} ({share}), {score}; {for_it} of {of} kinds of knowledge for it"


def _row(source: str, says: str, agrees: bool | None, trust: str, group: str) -> str:
    mark = {True: "+", False: "-", None: " "}[agrees]
    return f"  {mark} {source}: {says} [{trust}; {group}]"


def share_text(p: float) -> str:
    """Write a probability in per cent; nothing that is learnt from reports is certain, whatever the rounding.

    >>> share_text(0.994), share_text(0.412)
    ('over 99%', '41%')
    """
    return "over 99%" if p > 0.99 else f"{p:.0%}"


def weight_bits(probabilities: Mapping[str, float], base: Mapping[str, float]) -> float:
    """Compute how much probabilities tell beyond base rates.

    >>> weight_bits({"a": 1.0, "b": 0.0}, {"a": 0.5, "b": 0.5})
    1.0
    """
    return sum(p * math.log2(p / max(base[name], 1e-9)) for name, p in probabilities.items() if p > 0)


def overlap(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    """Compute the probability that two sources share.

    >>> overlap({"a": 0.75, "b": 0.25}, {"a": 0.25, "b": 0.75})
    0.5
    """
    return sum(min(p, other[name]) for name, p in one.items())


def answer_of(
    question: str, opinions: Sequence[Opinion], base: Mapping[str, float]
) -> tuple[Answer | None, list[Opinion]]:
    """Join the opinions on one question; give the answer, None where nobody tells anything, and opinions completed."""
    weighed = [(one, weight_bits(one.probabilities, base) if one.probabilities else 0.0) for one in opinions]
    telling = [(one, bits) for one, bits in weighed if bits > 0 and one.probabilities]
    if not telling:
        return None, [_with(one, bits, None) for one, bits in weighed]
    groups: dict[str, list[tuple[Opinion, float]]] = {}
    for one, bits in telling:
        groups.setdefault(one.group, []).append((one, bits))
    voices = {name: max(members, key=lambda member: member[1]) for name, members in groups.items()}
    pooled = _mean([(one.probabilities, bits) for one, bits in voices.values()])
    likeliest = _likeliest(pooled)
    heard = [(one.probabilities, bits) for one, bits in voices.values() if bits >= LEAST_BITS]
    answer = Answer(
        question=question,
        pooled=pooled,
        likeliest=likeliest,
        agreement=_agreement(heard),
        within={
            name: found
            for name, members in groups.items()
            if (found := _agreement([(one.probabilities, bits) for one, bits in members])) is not None
        },
        voices={name: one.source for name, (one, _) in voices.items()},
        votes=(sum(p[likeliest] > base[likeliest] for p, _ in heard), len(heard)),
    )
    return answer, [
        _with(one, bits, one.probabilities[likeliest] > base[likeliest] if bits >= LEAST_BITS else None)
        for one, bits in weighed
    ]


def compare_strengths(opinions: Sequence[StrengthOpinion]) -> tuple[StrengthOpinion, ...]:
    """Tell for each interval whether it meets those of all other groups."""
    compared = []
    for one in opinions:
        others = [o.estimate for o in opinions if o.group != one.group and o.estimate is not None]
        intervals = [(e.low, e.high) for e in others if e.low is not None and e.high is not None]
        own = one.estimate
        agrees = None
        if own is not None and own.low is not None and own.high is not None and intervals:
            agrees = all(own.low <= high and low <= own.high for low, high in intervals)
        compared.append(
            StrengthOpinion(
                source=one.source, says=one.says, estimate=own, trust=one.trust, group=one.group, agrees=agrees
            )
        )
    return tuple(compared)


def _with(one: Opinion, bits: float, agrees: bool | None) -> Opinion:
    return Opinion(
        source=one.source,
        question=one.question,
        says=one.says,
        probabilities=one.probabilities,
        trust=one.trust,
        group=one.group,
        weight_bits=bits,
        agrees=agrees,
    )


def _likeliest(probabilities: Mapping[str, float]) -> str:
    return max(probabilities, key=lambda name: probabilities[name])


def _mean(weighted: Sequence[tuple[Mapping[str, float], float]]) -> dict[str, float]:
    names = list(weighted[0][0])
    weights = np.array([weight for _, weight in weighted])
    values = np.array([[p[name] for name in names] for p, _ in weighted])
    return dict(zip(names, (weights @ values / weights.sum()).tolist(), strict=True))


def _agreement(weighted: Sequence[tuple[Mapping[str, float], float]]) -> float | None:
    pairs = [(v * w, overlap(p, q)) for (p, v), (q, w) in combinations(weighted, 2)]
    total = sum(weight for weight, _ in pairs)
    return sum(weight * shared for weight, shared in pairs) / total if total > 0 else None
