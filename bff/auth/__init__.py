"""Who calls: bearer tokens, static ones and JWTs."""
