"""`bff` without one of its guards: `python -m tests.durable.pod --without reconciler -- serve`.

The service has no setting for this, and must not have one: the guard is taken out of this process alone.
"""

import argparse
import sys

from bff import cli
from tests.durable.guards import GUARDS


def main() -> None:
    """Take the guard out, and become `bff`."""
    parser = argparse.ArgumentParser(prog="python -m tests.durable.pod", description=__doc__)
    parser.add_argument("--without", required=True, choices=list(GUARDS))
    parser.add_argument("arguments", nargs="*", metavar="ARGUMENT", help="of bff, after --")
    options = parser.parse_args()
    GUARDS[options.without]()
    sys.argv[1:] = options.arguments
    cli.main()


if __name__ == "__main__":
    main()
