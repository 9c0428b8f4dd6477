"""Whether accepted work survives: `make check-durable`, or `python -m tests.durable --help`.

Real `bff serve` and `bff worker` processes over SQLite and over Postgres, killed at random while they work, in front of
sample sources that are never killed and keep a ledger of what was really done. A control, the same without
reconciliation, must find stuck work: a check that cannot find any would prove nothing.
"""
