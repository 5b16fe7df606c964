"""How the models of the pattern labeller are made again: `python -m hea_vision.xrd.recipes.NAME --help`."""
