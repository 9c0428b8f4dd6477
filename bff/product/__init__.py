"""One page out of three sources: ask, wait, merge."""
