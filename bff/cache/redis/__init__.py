"""What the pods of a service share: values, nonces and marks in Redis, and what they tell each other through it."""
