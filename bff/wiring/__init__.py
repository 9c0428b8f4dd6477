"""The one place where things are made and put together."""
