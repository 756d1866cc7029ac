"""What flows through a model while it runs, recorded. All contact with torch's insides is here.

`recorder.py` (hooks and a function mode) reports to `observer.py`, which counts; `recording.py` is the frozen result.

- What a call does: `operator_calls.py`, `fanout.py`, `overheads.py`, `neurons.py`; who calls: `call_sites.py`.
- What the streams hold: `call_counter.py`, `streams.py`, `stream_counter.py`, `tensor_stats.py`, `integer_bounds.py`,
  `moment_accumulator.py`; where they have time: `time_axis.py`; where they come from: `spike_lineage.py`.
- How a model is run: `input_modes.py`, `model_state.py`, `function_mode.py`.
- On request: `firing_maps.py`, `memory_estimate.py`.
"""
