"""What other sources say of an alloy's phase and strength, how far each is to be trusted, and whether they agree."""

from hea_sim._lazy import lazy_names

_NAMES = {
    "AgreementTable": "agreement",
    "Opinion": "agreement",
    "PhaseEquilibrium": "calphad",
    "StablePhase": "calphad",
    "StaticEnergies": "static_energies",
    "StrengthOpinion": "agreement",
    "phases_at": "calphad",
    "second_opinions": "opinions",
    "static_energies_of": "static_energies",
}
__all__ = sorted(_NAMES)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
