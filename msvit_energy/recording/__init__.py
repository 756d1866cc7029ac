"""What flows through a model while it runs, recorded. All contact with torch's insides is here.

`recorder.py` (hooks and a function mode) reports to `observer.py`, which counts; `recording.py` is the frozen result.

- What a call does: `operator_calls.py`, `fanout.py`, `overheads.py`, `neurons.py`; who calls: `call_sites.py`.
- What the streams hold: `call_counter.py`, `streams.py`, `stream_counter.py`, `tensor_stats.py`, `integer_bounds.py`,
  `moment_accumulator.py`; where they have time: `time_axis.py`; where they come from: `spike_lineage.py`,
  `data_flow.py`.
- How a model is run: `input_modes.py`, `function_mode.py`; its state: `model_state.py`, `snapshots.py`,
  `weight_writes.py`, `state_check.py`, `weights_hash.py`.
- On request: `firing_maps.py`, `memory_estimate.py`.
"""
