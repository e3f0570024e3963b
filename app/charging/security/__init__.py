"""Passwords, certificates and security events of stations (OCPP 1.6 security whitepaper)."""
