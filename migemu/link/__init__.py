"""What the link does to traffic: pacing and order rules."""
