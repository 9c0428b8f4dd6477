"""The commands beside those that run the service: what each takes, says and ends with."""
