"""What flows through a model while it runs: hooks, a function mode, counters. All contact with torch's insides."""
