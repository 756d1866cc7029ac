"""What flows through a model while it runs, recorded. All contact with torch's insides is here.

`recorder.py` (hooks, `hooks.py`, and a function mode, `function_mode.py`) reports to `observer.py`, which counts;
`recording.py` is the frozen result.

- What a call does: `operator_calls.py`, `fanout.py`, `overheads.py`, `neurons.py`; who calls: `call_sites.py`.
- Where a tensor has time and images: `layouts/`.
- Where a tensor comes from and goes: `spike_lineage.py`, `data_flow.py`.
- What was counted: `counts/`, by `stream_key.py`.
- How a model is run: `feeding/`.
- Its state: `state/`; its weights: `weights_hash.py`.
- On request: `firing_maps.py`, `memory_estimate.py`.
"""
