"""Our service and its peers at the same work in one run: `make bench`, or `python -m benchmarks.comparison [NAME...]`.

Servers have core 0, upstreams and load core 1; what is measured goes to results.json, RESULTS.md and results.svg.
"""
