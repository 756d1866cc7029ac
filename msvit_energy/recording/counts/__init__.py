"""What flowed, counted exactly: calls (`call_counter.py`) have streams (`streams.py`), each with a `stream_counter.py`.

A tensor is read once (`tensor_stats.py`), or known to be whole numbers without reading (`integer_bounds.py`); what the
images have of each count goes into `moment_accumulator.py`.
"""
