"""Play the three upstream services for demonstrations, tests and benchmarks."""
