"""Parts of pages between two questions to their source: bounded, fenced, loaded once at a time."""
