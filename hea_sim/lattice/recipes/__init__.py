"""Recipes that make the shipped lattice models again from their sources.

Each is run as a module, for example `python -m hea_sim.lattice.recipes.nbmotaw_pairs --data FOLDER --out FOLDER`.
"""
