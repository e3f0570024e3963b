"""Universal search: what records are found by, and finding them. Manual, "Universal Search"."""
