"""Training by a recipe: data, the run, its files."""
