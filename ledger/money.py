"""Sums of money as text, in the currency of the settings, with the number of unpriced attempts."""

from typing import NamedTuple

# Unambiguous signs; every other currency is shown by its code.
SIGNS = {"USD": "$", "EUR": "€", "GBP": "£", "CNY": "CN¥", "JPY": "JP¥", "INR": "₹", "KRW": "₩"}


class Currency(NamedTuple):
    """A currency by its ISO code, and how much of it a dollar is."""

    code: str = "USD"
    rate: float = 1.0

    def amount(self, dollars: float | None) -> str:
        """Return an amount with two decimals; a dash where it is not known."""
        if dollars is None:
            return "–"
        value = dollars * self.rate
        sign = SIGNS.get(self.code, f"{self.code} ")
        return f"{'-' if value <= -0.005 else ''}{sign}{abs(value):,.2f}"

    def at_least(self, dollars: float | None, unpriced: int | None) -> str:
        """Return a sum, marked as a lower bound where it lacks attempts."""
        return f"≥ {self.amount(dollars)}" if unpriced else self.amount(dollars)

    def total(self, dollars: float | None, unpriced: int | None) -> str:
        """Return a sum and how many attempts it lacks."""
        text = self.at_least(dollars, unpriced)
        return f"{text}, {attempts(unpriced)} without a price" if unpriced else text


def attempts(count: int) -> str:
    """Return a number of attempts as text."""
    return f"{count:,} attempt{'' if count == 1 else 's'}"
