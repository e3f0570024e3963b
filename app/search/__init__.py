"""One search document per record, and what is found by it."""
