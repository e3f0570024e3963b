"""Fixtures of the running server, for every test that speaks OCPP with it."""

from tests.support.gateway import house, people, server

__all__ = ["house", "people", "server"]
