"""The clocks of a service; everything else is given one."""

import time

clock = time.monotonic
wall_clock = time.time
