"""What the verbs of the registry do: list, show and verify models and data sets. Each returns the exit code."""

from __future__ import annotations

from hea_sim.documents import document, versions
from hea_sim.records import Provenance
from hea_vision.cli.model_cards import show_card
from hea_vision.cli.printing import print_json, print_table, say


def models_list(json: bool) -> int:
    """List the shipped models."""
    from hea_sim.registry import list_models

    cards = list_models()
    if json:
        print_json(document([c.model_dump() for c in cards], [], Provenance(versions=versions())))
    else:
        print_table(
            "",
            ("name", "kind", "elements", "lattice"),
            [(c.name, c.kind, " ".join(c.elements), str(c.lattice)) for c in cards],
        )
    return 0


def models_show(name: str, json: bool) -> int:
    """Show one model's card; a set of elements ("nbmotaw") stands for the potential that is recommended for it."""
    from hea_sim.potentials.loading import recommended_potential
    from hea_sim.registry import list_models, load_card

    if name not in {card.name for card in list_models()} and (taken := recommended_potential(name)):
        say(f"hea: '{name}': showing {taken}, the recommended potential")
        name = taken
    card = load_card(name)
    if json:
        print_json(document([card.model_dump()], [], Provenance(versions=versions())))
    else:
        show_card(card)
    return 0


def models_verify() -> int:
    """Check every model file against its card."""
    from hea_sim.registry import list_models, load_arrays

    for card in list_models():
        load_arrays(card.name)
        print(f"{card.name}: {card.arrays_sha256} unchanged")
    return 0


def data_list(json: bool) -> int:
    """List the known data sets."""
    from hea_sim.registry import list_datasets

    cards = list_datasets()
    if json:
        print_json(document([c.model_dump() for c in cards], [], Provenance(versions=versions())))
    else:
        print_table("", ("name", "licence", "files"), [(c.name, c.licence, str(len(c.files))) for c in cards])
    return 0


def data_show(name: str, json: bool) -> int:
    """Show one data set's card."""
    from hea_sim.registry import dataset_card

    card = dataset_card(name).model_dump()
    print_json(document([card], [], Provenance(versions=versions())) if json else card)
    return 0


def data_verify(name: str) -> int:
    """Check a data set's files."""
    from hea_sim.registry import verify_dataset

    wrong = verify_dataset(name)
    if not wrong:
        print(f"{name}: every file is there and unchanged")
        return 0
    for file in wrong:
        say(f"hea: {name}/{file}: missing or changed; get it again from the source named by 'hea data show {name}'")
    return 1
