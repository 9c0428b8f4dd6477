"""How a policy ends a call.

Refused              the call was not made
+-- CircuitOpen
+-- Overloaded       no slot: the queue was full, or the time was up before one came
TimeoutError
+-- AttemptTimeout   one attempt had its whole time and did not end
+-- DeadlineExceeded one attempt was cut short, because the time of the whole call was up
"""


class Refused(Exception):
    """The call was not made."""


class CircuitOpen(Refused):
    """The circuit is open, or half open with all its probes on their way."""


class Overloaded(Refused):
    """There was no slot for the call."""


class AttemptTimeout(TimeoutError):
    """An attempt had its whole time."""


class DeadlineExceeded(TimeoutError):
    """The call's time ran out before its attempt had had all of its own."""
