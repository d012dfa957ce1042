"""The ledger: one SQLite file that every process meets in."""

from ledger.errors import NewerLedger, Unavailable, Unwritable
from ledger.file import connect, connect_read_only, prepare
from ledger.writing import transaction

__all__ = [
    "NewerLedger",
    "Unavailable",
    "Unwritable",
    "connect",
    "connect_read_only",
    "prepare",
    "transaction",
]
