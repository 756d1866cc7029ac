"""The state of a model: how every sample starts from rest, and whether it does.

`model_state.py` finds and restores what a forward leaves behind (`snapshots.py` copies it), `weight_writes.py` watches
the weights, and `state_check.py` runs the first image again.
"""
