"""Policies around one call: they know no HTTP, no settings and no metrics."""
