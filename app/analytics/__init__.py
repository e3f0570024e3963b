"""Numbers derived from charging: roll-ups that the dashboard and the reports stand on."""
