"""Which energy a job samples: a lattice model or a potential, why that one, its checksums, how far to trust it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hea_sim.alloy import Composition
from hea_sim.errors import HEAError, InputError
from hea_sim.lattice.contract import LatticeModel
from hea_sim.sampling.job import SampleJob


@dataclass(frozen=True, kw_only=True, eq=False)
class ChosenModel:
    """Hold the model of a job with what must be said of it.

    One of `lattice_model` and `potential` is there. `trust` says in sentences how far it may be believed;
    `energy_std_eV` is its own error of the energy per atom, None where nobody measured it.
    """

    name: str
    why: str
    sha256: Mapping[str, str]
    lattice: str
    trust: tuple[str, ...]
    energy_std_eV: float | None
    lattice_model: LatticeModel | None = None
    potential: Any = None
    card: Mapping[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Give what results say of it."""
        return {
            "name": self.name,
            "sha256": next(iter(self.sha256.values()), ""),
            "files": dict(self.sha256),
            "why": self.why,
            "energy_std_eV_per_atom": self.energy_std_eV,
            "trust": self.trust,
        }


def resolved_job(job: SampleJob) -> SampleJob:
    """Write out what a job leaves open: a lattice model, or where none holds the alloy, a shipped potential.

    Raises InputError where neither holds the alloy on its lattice.
    """
    if job.engine != "lattice" or job.model is not None:
        return job
    from hea_sim.lattice.pairs import known_lattice_models, model_for
    from hea_sim.potentials.choice import potential_for

    composition = job.composition
    found = model_for(composition, lattice=job.lattice)
    if found is not None:
        return job.model_copy(update={"model": found.name, "lattice": found.lattice})
    potential = potential_for(composition.elements)
    if potential is not None and job.lattice is not None and job.ensemble == "canonical":
        return job.model_copy(update={"engine": "atoms", "potential": potential})
    where = "" if job.lattice is None else f" on {job.lattice}"
    known = "; ".join(f"{name} ({' '.join(species)})" for name, species in known_lattice_models().items())
    raise InputError(
        f"{composition.formula} has no lattice model{where}: shipped are {known or 'none'}."
        " Fit one (hea fit lattice), or name a potential that holds its elements and a lattice"
    )


def choose_model(job: SampleJob) -> ChosenModel:
    """Load the model of a job and collect what its card says of it."""
    return _lattice_choice(job) if job.engine == "lattice" else _potential_choice(job)


def _lattice_choice(job: SampleJob) -> ChosenModel:
    from hea_sim.lattice.pairs import load_lattice_model

    composition, name = job.composition, str(job.model)
    model: Any = load_lattice_model(name)
    unknown = [e for e in composition.elements if e not in model.species]
    if unknown:
        raise InputError(
            f"model {model.name} has no {', '.join(unknown)}, which {composition.formula} holds; it knows"
            f" {', '.join(model.species)}: name another model, or a potential"
        )
    _check_lattice(job, model)
    card = dict(getattr(model, "card", {}) or {})
    if hasattr(model, "restricted"):
        model = model.restricted(composition.elements)
    return ChosenModel(
        name=model.name,
        why=f"lattice model of {' '.join(card.get('elements', model.species))}",
        sha256={model.name: str(card.get("arrays_sha256", ""))},
        lattice=model.lattice,
        trust=_trust_of_lattice_model(card, composition),
        energy_std_eV=float(model.energy_std_eV),
        lattice_model=model,
        card=card,
    )


def _check_lattice(job: SampleJob, model: Any) -> None:
    if job.lattice is None:
        return
    from hea_sim.lattice.shells import lattice_name

    try:
        wanted = lattice_name(job.lattice)
    except HEAError:
        wanted = job.lattice
    if wanted != model.lattice:
        raise InputError(f"model {model.name} is for {model.lattice}; got lattice {job.lattice}. Leave the lattice out")


def arrangement_error(card: Mapping[str, Any]) -> float | None:
    """Compare a card's error on differences between arrangements with their spread; the worst of its scores.

    None where the card holds no such scores; 0.5 and above predicts no order.
    """
    scores = card.get("scores", {})
    pairs = (
        ("arrangement_cv_rmse", "arrangement_spread"),
        ("teacher_arrangement_rmse", "teacher_arrangement_dft_spread"),
    )
    ratios = [scores[e]["value"] / scores[s]["value"] for e, s in pairs if e in scores and s in scores]
    return max(ratios) if ratios else None


def _trust_of_lattice_model(card: Mapping[str, Any], composition: Composition) -> tuple[str, ...]:
    ratio = arrangement_error(card)
    if ratio is None:
        told = ["how well it tells arrangements apart is not known: its card holds no such score"]
    else:
        verdict = "temperatures and degrees of order are orientation only" if ratio >= 0.5 else "order may be compared"
        told = [f"its error on differences between arrangements is {100 * ratio:.0f} % of their spread: {verdict}"]
    told.append("the lattice is an input: other structures were not compared")
    told.append("configurational energy alone: no vibrations, no magnetism")
    return (*told, *(str(note) for note in card.get("notes", ())))


def _potential_choice(job: SampleJob) -> ChosenModel:
    from hea_sim.potentials.choice import RECOMMENDED_ONE, choose_potential, potential_for

    name, elements = str(job.potential), job.composition.elements
    asked = RECOMMENDED_ONE if name == potential_for(elements) else name  # then its card says why
    chosen = choose_potential(asked, elements, species=job.species or None)
    if chosen is None:
        raise InputError(f"potential '{name}' names none; wanted a shipped one, a model folder or a published file")
    record = chosen.record
    scores = [f"{key}: {s['value']:g} {s['unit']} ({s['how']})" for key, s in list(record.scores.items())[:4]]
    told = scores or ["no scores are known of it: how well it ranks arrangements must be shown elsewhere"]
    told = [*_untrained(job, record.name, record.elements), *told]
    return ChosenModel(
        name=record.name,
        why=record.why,
        sha256=dict(record.sha256) or _file_sums(name),
        lattice=job.lattice or "",
        trust=(*told, "the lattice is an input: other structures were not compared", *record.notes),
        energy_std_eV=record.energy_error_eV_per_atom,
        potential=chosen.potential,
    )


def _untrained(job: SampleJob, name: str, elements: Sequence[str]) -> list[str]:
    """Say where the lattice of a job was none of a potential's training, by its card.

    A card lists "structures" among its settings; where it lists none, those of its elements are taken.
    """
    from ase.data import atomic_numbers, reference_states

    from hea_sim.lattice.shells import lattice_name
    from hea_sim.registry.cards import MODELS, read_card

    if job.lattice is None or not (MODELS / name).is_dir():
        return []
    wanted = lattice_name(job.lattice)
    listed = read_card(MODELS / name).settings.get("structures")
    if isinstance(listed, list):
        return [] if wanted in listed else [f"{wanted} was not among the structures of its training: {_joined(listed)}"]
    states: list[Any] = [reference_states[atomic_numbers[e]] for e in elements]
    symmetries = {str(state["symmetry"]) for state in states if state}
    common = sorted({"bcc": "A2", "fcc": "A1", "hcp": "A3"}.get(s, s) for s in symmetries)
    if wanted in common:
        return []
    return [
        f"{wanted} was not in its training as far as its card says, which lists no structures; those of its elements"
        f" are {_joined(common)}: energies on {job.lattice} are extrapolated"
    ]


def _joined(names: Sequence[Any]) -> str:
    return ", ".join(str(name) for name in names)


def _file_sums(name: str) -> dict[str, str]:
    from hea_sim.documents import sha256_of

    path = Path(name)
    return {path.name: sha256_of(path)} if path.is_file() else {}


def species_of(job: SampleJob, chosen: ChosenModel) -> Sequence[str]:
    """Give the species in the order in which results speak of them."""
    return chosen.lattice_model.species if chosen.lattice_model is not None else job.composition.elements
