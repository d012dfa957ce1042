"""Bring in what other programs recorded: each file becomes events as the queue sends them."""
