"""How a model is run: how it wants a batch (`input_modes.py`), and how that is found out.

`mode_detection.py` asks which feeds fit (`fitting_feeds.py`) by small forwards (`mode_probes.py`); a neuron of no known
library also runs alone (`neuron_alone.py`).
"""
