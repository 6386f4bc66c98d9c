"""A transactional outbox daemon that needs nothing but Postgres."""

__version__ = "0.1.0"
