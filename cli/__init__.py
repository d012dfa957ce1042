"""The command line. Its functions only declare options and import the code that they call."""
