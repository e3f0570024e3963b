"""Read models of the dashboard: what the operator sees first, derived from everything below it."""
