"""Models: from a name, a checkpoint, a NIR file or somebody's factory, on a device."""
