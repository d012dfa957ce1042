"""Quotas of accounts: provider answers and quota headers, parsed into windows and verdicts."""
