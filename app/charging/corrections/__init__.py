"""Corrections of a session's price: another driver, another tariff, a credit. Each is a new version of the price."""
