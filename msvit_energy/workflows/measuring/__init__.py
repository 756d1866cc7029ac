"""Profiles: a loaded model on images, stopped and resumed, shared between processes, written and merged."""
