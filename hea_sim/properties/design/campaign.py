"""A campaign of design: ask for alloys, tell what was measured of them, ask again; kept as one JSON file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hea_sim.alloy import Composition
from hea_sim.documents import read_json, write_json
from hea_sim.errors import InputError, MissingFileError
from hea_sim.properties.contract import MeasuredAlloy, PropertyPredictor
from hea_sim.properties.design.candidates import Candidate
from hea_sim.properties.design.measured import measured_from_evidence, measured_of_row, measured_row
from hea_sim.properties.design.suggestion import meets, shipped_predictor, suggest, with_evidence
from hea_sim.properties.design.target import DesignTarget, as_target
from hea_sim.records import Evidence

#: Version of a campaign's file.
SCHEMA = 1
_KEYS = {"schema", "target", "seed", "rounds", "measured"}


class DesignCampaign:
    """Ask for alloys that meet a target, and learn from what was measured, failures too.

    `rounds` lists the formulas that were asked for, round by round; `measured` what was told. What was asked is not
    asked again.

    Parameters
    ----------
    predictor
        From composition to phase and properties; without one, the models that ship with the package, loaded when
        first needed. It is not kept in the file.
    """

    def __init__(
        self,
        target: DesignTarget | Mapping[str, Any],
        *,
        predictor: PropertyPredictor | None = None,
        seed: int = 0,
    ) -> None:
        self.target = as_target(target)
        self.seed = seed
        self.rounds: list[list[str]] = []
        self.measured: list[MeasuredAlloy] = []
        self._base = predictor

    @property
    def predictor(self) -> PropertyPredictor:
        """Give the predictor, corrected by all that was measured."""
        if self._base is None:
            self._base = shipped_predictor()
        return with_evidence(self._base, self.measured)

    @property
    def hits(self) -> list[MeasuredAlloy]:
        """List the measured alloys that nothing speaks against."""
        return [m for m in self.measured if meets(self.target, m)]

    def ask(
        self,
        n: int = 4,
        *,
        tried: Iterable[Composition | str] = (),
        engine: str = "plain",
        strategy: str = "expected_improvement",
    ) -> list[Candidate]:
        """Suggest n alloys, and note that they were asked for; those in `tried` are left out this time."""
        if self._base is None:
            self._base = shipped_predictor()
        found = suggest(
            self.target,
            predictor=self._base,
            n=n,
            tried=[*tried, *(formula for asked in self.rounds for formula in asked)],
            evidence=self.measured,
            seed=self.seed + len(self.rounds),
            engine=engine,
            strategy=strategy,
        )
        self.rounds.append([candidate.formula for candidate in found])
        return found

    def tell(
        self, measured: Iterable[MeasuredAlloy | Evidence], *, alloy: Composition | str | None = None
    ) -> list[MeasuredAlloy]:
        """Learn from measured alloys, or from claims on the phase of `alloy`; give what was learnt.

        A failure is as good a datum as a success: tell what the structure was, or which ones it was not.
        """
        new = measured_from_evidence(measured, alloy=alloy)
        for item in new:
            if item.structure is None and item.family is None and not item.not_structures and not item.properties:
                raise InputError(f"nothing was measured of {item.composition.formula}; give structure or a property")
        self.measured += new
        return new

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the campaign as JSON."""
        return write_json(
            path,
            {
                "schema": SCHEMA,
                "target": self.target.model_dump(exclude_none=True),
                "seed": self.seed,
                "rounds": self.rounds,
                "measured": [measured_row(m) for m in self.measured],
            },
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, predictor: PropertyPredictor | None = None) -> DesignCampaign:
        """Read a campaign; raise InputError where the file is not one."""
        if not Path(path).is_file():
            raise MissingFileError(f"{path}: no such file; wanted a campaign that DesignCampaign.save wrote")
        data = read_json(path)
        if not isinstance(data, dict) or set(data) != _KEYS:
            raise InputError(f"{path} is no campaign; wanted JSON with {', '.join(sorted(_KEYS))}")
        if data["schema"] != SCHEMA:
            raise InputError(f"{path} has schema {data['schema']}; this version reads {SCHEMA}")
        whole = (
            isinstance(data["seed"], int) and isinstance(data["measured"], list) and isinstance(data["rounds"], list)
        )
        if not whole or not all(isinstance(asked, list) for asked in data["rounds"]):
            raise InputError(
                f"{path}: seed, rounds or measured are not a number, lists of formulas and a list; mend it"
            )
        campaign = cls(data["target"], predictor=predictor, seed=data["seed"])
        campaign.rounds = [[str(formula) for formula in asked] for asked in data["rounds"]]
        campaign.measured = [measured_of_row(row) for row in data["measured"]]
        return campaign
