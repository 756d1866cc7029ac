"""Dense MACs on a traced graph: all contact with fvcore."""
