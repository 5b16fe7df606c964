"""What `hea suggest` does: candidates for a target or neighbours of an alloy, in words, as JSON, into a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hea_sim.documents import document, versions, write_csv, write_json
from hea_sim.errors import InputError
from hea_sim.properties.alloy_text import read_alloy
from hea_sim.properties.contract import MeasuredAlloy, PropertyPredictor
from hea_sim.properties.design.campaign import DesignCampaign
from hea_sim.properties.design.candidates import Candidate
from hea_sim.properties.design.measured import measured_row, read_measured
from hea_sim.properties.design.neighbours import suggest_neighbours
from hea_sim.properties.design.suggestion import suggest as suggest_for
from hea_sim.properties.design.suggestion import with_evidence
from hea_sim.records import Provenance
from hea_sim.settings import claim_folder
from hea_vision.cli.printing import print_json, print_table, say
from hea_vision.jobs.suggest import CSV_COLUMNS, SuggestJob, candidate_row, csv_row, read_suggest_job


def suggest(
    out: Path | None, config: Path | None, flags: Mapping[str, Any], target_flags: Mapping[str, Any], json: bool
) -> int:
    """Suggest alloys; flags win over the file of settings."""
    job = read_suggest_job(config, flags, target_flags)
    if out is not None:
        claim_folder(job, out)
    measured = [] if job.measured is None else read_measured(job.measured)
    found = _from_campaign(job, measured) if job.campaign else _found(job, measured)
    content = document(
        [candidate_row(candidate) for candidate in found],
        [],
        Provenance(seed=job.seed, versions=versions(), settings=job.model_dump(exclude_none=True)),
    )
    if out is not None:
        write_json(out / "results.json", content)
        rows = [csv_row(candidate) for candidate in found]
        write_csv(
            out / "results.csv", rows, tuple(dict.fromkeys((*CSV_COLUMNS, *(key for row in rows for key in row))))
        )
    if json:
        print_json(content)
    else:
        _show(job, found, out)
    return 0


def predictor_for(job: SuggestJob) -> PropertyPredictor:
    """Load the shipped models; those that must not know some alloys are fitted anew."""
    from hea_sim.properties.predictor import load_predictor

    return load_predictor(exclude=job.exclude)


def _found(job: SuggestJob, measured: Sequence[MeasuredAlloy]) -> list[Candidate]:
    predictor = predictor_for(job)
    if job.alloy is not None:
        alloy, mended = read_alloy(job.alloy)
        for note in mended:
            say(f"{job.alloy}: {note}")
        return suggest_neighbours(
            alloy,
            predictor=with_evidence(predictor, measured),
            n=job.n,
            tried=[*job.tried, *(m.composition for m in measured)],
            step_at_percent=job.step_at_percent,
            target=job.target,
            seed=job.seed,
        )
    assert job.target is not None  # a job without an alloy and a campaign has one
    return suggest_for(
        job.target,
        predictor=predictor,
        n=job.n,
        tried=job.tried,
        evidence=measured,
        seed=job.seed,
        engine=job.engine,
        strategy=job.strategy,
    )


def _from_campaign(job: SuggestJob, measured: Sequence[MeasuredAlloy]) -> list[Candidate]:
    """Go on with a campaign, or begin it; what is measured is told before the next alloys are asked for."""
    path = Path(str(job.campaign))
    if job.alloy is not None:
        raise InputError("a campaign works towards a target; leave the alloy out, or the campaign")
    if path.exists():
        campaign = DesignCampaign.load(path, predictor=predictor_for(job))
        if job.target is not None and job.target != campaign.target:
            raise InputError(f"{path} is a campaign with another target; name another file, or leave the target out")
    elif job.target is not None:
        campaign = DesignCampaign(job.target, predictor=predictor_for(job), seed=job.seed)
    else:
        raise InputError(f"{path}: no such file; say what is wanted to begin a campaign there")
    # The same file may be given round after round: what it told before is not told again.
    known = [_told(m) for m in campaign.measured]
    campaign.tell([m for m in measured if _told(m) not in known])
    found = campaign.ask(job.n, tried=job.tried, engine=job.engine, strategy=job.strategy)
    campaign.save(path)
    say(
        f"{path}: round {len(campaign.rounds)}, {len(campaign.measured)} measured, {len(campaign.hits)} of them meet it"
    )
    return found


def _told(alloy: MeasuredAlloy) -> dict[str, Any]:
    """Give all that was told of an alloy, its composition rounded as formulas are."""
    return {**measured_row(alloy), "composition": alloy.composition.formula}


def _show(job: SuggestJob, found: Sequence[Candidate], out: Path | None) -> None:
    title = f"after {job.alloy}" if job.alloy else "for the target"
    print_table(title, ("alloy, at.%", "why"), [(c.formula, c.reason) for c in found])
    if not found:
        print("nothing is left to suggest: every allowed neighbour was tried or lies outside the predictor's domain")
    elif job.target is not None and (sources := {e.method for c in found for e in c.quantities.values()}):
        print("cost and density: " + "; ".join(sorted(sources)))
    if out is not None:
        print(f"results: {out / 'results.json'}")
