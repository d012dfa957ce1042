"""A fake proxy with its providers on one port, and made-up traffic to send through it."""
