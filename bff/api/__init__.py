"""HTTP in and out: parse, one call, shape."""
