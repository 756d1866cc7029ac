"""What a command does from start to end: the one place that knows both packages."""
