"""What a profile is: plain data, no torch, no opinion on energy.

- The data: `profile.py`, `operators.py`, `operand.py`, `coverage.py`, `provenance.py`, `memory_estimate.py`,
  `firing_maps.py`, `field_types.py`.
- Uncertainty: `amounts.py`, `student_t.py`.
- Warnings: `diagnostics.py`.
- Files: `json_format.py`, `json_schema.py`, `consistency.py`, `validation_message.py`.
- Joining: `merge.py`, `image_indices.py`.
"""
