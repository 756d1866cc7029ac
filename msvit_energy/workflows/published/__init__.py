"""Rates and energies that others published, priced and recomputed."""
