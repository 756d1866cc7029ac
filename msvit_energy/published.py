"""What papers print, as data. Quoted as printed, mistakes included; ours always stands beside it."""

from importlib import resources

import pandas as pd


def published_table(name: str) -> pd.DataFrame:
    """A table of the MSViT paper (arXiv 2505.14719) by name: "table1", "table3". One row per printed row, in order."""
    with (resources.files("msvit_energy") / "data" / f"{name}.csv").open() as file:
        return pd.read_csv(file)
