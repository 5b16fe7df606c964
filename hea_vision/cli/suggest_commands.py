"""The command `hea suggest`; see `suggest_verb`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hea_vision.cli.options import Json, Seed

_Text = str | None
_Texts = list[str] | None
Alloy = Annotated[_Text, typer.Argument(help="Alloy whose neighbours are suggested; leave it out to design.")]
Out = Annotated[Path | None, typer.Option("--out", help="Folder for results.json, results.csv, run.toml.")]
Config = Annotated[Path | None, typer.Option("--config", help="TOML file with a table `target`; flags win over it.")]
Count = Annotated[int | None, typer.Option("-n", min=1, help="How many; 4 where nothing is said.")]
Structure = Annotated[_Text, typer.Option(help="Wanted: BCC, FCC, HCP or multi; several with commas.")]
Family = Annotated[_Text, typer.Option(help="Wanted: SS, SS+IM, IM or AM; several with commas.")]
Least = Annotated[_Texts, typer.Option("--least", help="Lower bound, such as hardness_HV=400; repeat, or use commas.")]
Most = Annotated[_Texts, typer.Option("--most", help="Upper bound, such as density_g_per_cm3=8,cost_USD_per_kg=60.")]
Maximise = Annotated[_Text, typer.Option(help="To be large, such as yield_strength_MPa.")]
Minimise = Annotated[_Text, typer.Option(help="To be small, such as density_g_per_cm3.")]
Elements = Annotated[_Text, typer.Option(help="The only elements allowed, such as Nb,Mo,Ta,Ti,V.")]
Required = Annotated[_Text, typer.Option(help="Elements that must be there.")]
Forbidden = Annotated[_Text, typer.Option(help="Elements that must not.")]
Fewest = Annotated[int | None, typer.Option("--fewest-elements", min=1, help="4 where nothing is said.")]
MostElements = Annotated[int | None, typer.Option("--most-elements", min=1, help="5 where nothing is said.")]
LeastShare = Annotated[_Texts, typer.Option("--least-share", help="Least at.% of an element, such as Nb=20.")]
MostShare = Annotated[_Texts, typer.Option("--most-share", help="Most at.% of an element, such as Al=10.")]
Step = Annotated[float | None, typer.Option("--step", help="Step of the shares in at.%; 5 where nothing is said.")]
Prices = Annotated[_Text, typer.Option("--element-table", help="CSV: element,price_USD_per_kg,density_g_per_cm3.")]
Processing = Annotated[_Text, typer.Option(help="cast, annealed, wrought, powder or other.")]
Temperature = Annotated[float | None, typer.Option("--temperature-K", min=1, help="Of the properties, in K.")]
Measured = Annotated[_Text, typer.Option(help="CSV of measured alloys: composition, structure, hardness_HV, ...")]
Campaign = Annotated[_Text, typer.Option(help="JSON file that remembers what was asked and measured; made if absent.")]
Tried = Annotated[_Text, typer.Option(help="Alloys not to be suggested, with commas.")]
Exclude = Annotated[_Text, typer.Option(help="Alloys that the predictor must not have seen, with commas.")]
Engine = Annotated[_Text, typer.Option(help="plain, or botorch (extra design).")]
Strategy = Annotated[_Text, typer.Option(help="expected_improvement, thompson or mean.")]


def suggest(
    alloy: Alloy = None,
    out: Out = None,
    config: Config = None,
    n: Count = None,
    structure: Structure = None,
    family: Family = None,
    least: Least = None,
    most: Most = None,
    maximise: Maximise = None,
    minimise: Minimise = None,
    elements: Elements = None,
    required: Required = None,
    forbidden: Forbidden = None,
    fewest: Fewest = None,
    most_elements: MostElements = None,
    least_share: LeastShare = None,
    most_share: MostShare = None,
    step: Step = None,
    prices: Prices = None,
    processing: Processing = None,
    temperature_K: Temperature = None,
    measured: Measured = None,
    campaign: Campaign = None,
    tried: Tried = None,
    exclude: Exclude = None,
    engine: Engine = None,
    strategy: Strategy = None,
    seed: Seed = None,
    json: Json = False,
) -> None:
    """Suggest what to make next: alloys that meet a target, or neighbours of an alloy that would tell most.

    Limits on elements, shares, cost and density are never broken; properties are met with the probability told.
    """
    from hea_vision.cli import suggest_verb
    from hea_vision.jobs.suggest import bounds_of

    flags: dict[str, Any] = {
        "alloy": alloy,
        "n": n,
        "tried": _formulas(tried),
        "exclude": _formulas(exclude),
        "seed": seed,
    }
    flags |= {"measured": measured, "campaign": campaign, "engine": engine, "strategy": strategy}
    flags["step_at_percent"] = step if alloy else None
    target = {
        "structure": structure,
        "family": family,
        "least": bounds_of(least, "--least"),
        "most": bounds_of(most, "--most"),
        "maximise": maximise,
        "minimise": minimise,
        "elements": elements,
        "required": required,
        "forbidden": forbidden,
        "fewest_elements": fewest,
        "most_elements": most_elements,
        "least_at_percent": bounds_of(least_share, "--least-share"),
        "most_at_percent": bounds_of(most_share, "--most-share"),
        "step_at_percent": None if alloy else step,
        "element_table": prices,
        "processing": processing,
        "temperature_K": temperature_K,
    }
    raise typer.Exit(suggest_verb.suggest(out, config, flags, target, json))


def _formulas(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())
