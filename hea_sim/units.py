"""Constants that turn one unit into another (CODATA 2018)."""

#: Boltzmann's constant.
BOLTZMANN_EV_PER_K = 8.617333262e-5
#: Gigapascals in an electronvolt per cubic Angstrom.
GPA_PER_EV_A3 = 160.21766208
