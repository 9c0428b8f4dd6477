"""The numbers that the service promises, measured: `.venv/bin/python -m benchmarks.numbers [NAME...]`.

Everything is on loopback, the service in a process of its own; its sources are played by the process that measures,
but for those of `pages`, which are the demo's. What are counts is asserted in tests/service/test_numbers*.py too.
"""
