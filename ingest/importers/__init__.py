"""Import what other programs recorded: each file is read as events in the proxy's wire format."""
