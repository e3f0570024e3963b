"""Keeping stations well: configuration, firmware, diagnostics, and what their firmware is known to do wrong."""
