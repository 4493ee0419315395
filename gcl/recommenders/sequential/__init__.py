"""Sequential recommenders: the next item after a history."""
