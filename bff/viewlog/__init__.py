"""Views of product pages, recorded without waiting and written in batches by an executor."""
