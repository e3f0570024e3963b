"""Money by payment processors: a row first, then asked, answered, retried or given up, and its outcome recorded."""
