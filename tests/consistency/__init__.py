"""Whether several pods keep the promise of a write: `make check-consistency`, or `python -m tests.consistency --help`.

Real `bff serve` processes over one Redis, readers and writers at random, and a nemesis that breaks what lies between
them. `history` has the rule that is checked. Each guard of the service has a control, the same run without it, which
must find old values: a check that cannot find any would prove nothing.
"""
