"""What a station is told beforehand: who may charge offline, and how much current."""
