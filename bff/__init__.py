"""A product-detail backend-for-frontend: one request, three concurrent upstream calls, one honest page."""

__version__ = "0.1.0"
