"""From a profile to operations and energy: protocols and technologies, pure functions on plain data."""
