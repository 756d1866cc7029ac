"""The one error that a user of `msvit` can cause and mend."""


class ModelError(ValueError):
    """Wrong input to a model, a checkpoint, a data set or a recipe. The message is one line: what was wrong,
    the value, what would be right. Command lines print it and exit with code 2."""
