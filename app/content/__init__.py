"""Texts for drivers: terms and policies, frequently asked questions, contacts."""
