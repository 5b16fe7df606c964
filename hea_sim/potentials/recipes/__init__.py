"""Recipes of the shipped potentials: one job of `hea fit potential` each, and what makes a model of it."""
