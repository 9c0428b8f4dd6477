"""What stands around a source's calls."""

from dataclasses import dataclass

from bff.resilience.breaker import Circuit
from bff.resilience.budget import RetryBudget
from bff.resilience.bulkhead import Bulkhead
from bff.resilience.retry import Retry
from bff.resilience.stack import Next


@dataclass(frozen=True, slots=True)
class Guard:
    """The stack, and the stateful layers in it for those who look at them."""

    call: Next
    retry: Retry
    circuit: Circuit
    bulkhead: Bulkhead
    budget: RetryBudget

    @property
    def state(self) -> str:
        """The circuit's state."""
        return self.circuit.state

    @property
    def in_flight(self) -> int:
        """The calls that hold a slot."""
        return self.bulkhead.in_flight
