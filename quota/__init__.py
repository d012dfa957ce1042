"""What accounts have left: provider answers and quota headers, read into windows and verdicts."""
