"""A transactional outbox daemon that needs nothing but Postgres."""
