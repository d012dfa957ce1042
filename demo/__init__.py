"""A stand-in for the proxy: its dialect on one port, and believable traffic to put through it."""
