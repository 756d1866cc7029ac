"""What several tests need: reference vectors, other people's models, the command line inside the process."""
