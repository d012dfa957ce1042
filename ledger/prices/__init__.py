"""Prices: what an attempt costs, by which rule, from the package and the user's own prices."""
