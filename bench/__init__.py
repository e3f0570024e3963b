"""Measurements of this product beside others, always in one run; `python -m bench` writes `results.md`."""
