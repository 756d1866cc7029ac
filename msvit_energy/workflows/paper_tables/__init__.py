"""The tables of the MSViT paper, recomputed."""
