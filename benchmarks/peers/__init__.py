"""The servers that ours is compared with, and the services that all of them ask.

`.venv/bin/python -m benchmarks.peers` starts each in turn, compares its page with ours and says how many it makes a
second. Every server is a process on one core; what the machine lacks is put into .tools by `prepare`.
"""

from benchmarks.peers.check import record
from benchmarks.peers.prepare import prepare
from benchmarks.peers.process import Failed
from benchmarks.peers.programs import Unavailable, wrk
from benchmarks.peers.servers import PEERS, Server, running
from benchmarks.peers.upstreams import Upstreams, upstreams

__all__ = [
    "PEERS",
    "Failed",
    "Server",
    "Unavailable",
    "Upstreams",
    "prepare",
    "record",
    "running",
    "upstreams",
    "wrk",
]
