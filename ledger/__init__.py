"""The ledger: one SQLite file that every process reads and writes."""

from ledger.database import (
    Damaged,
    SchemaMismatch,
    Unavailable,
    Unwritable,
    connect,
    connect_read_only,
    transaction,
)

__all__ = [
    "Damaged",
    "SchemaMismatch",
    "Unavailable",
    "Unwritable",
    "connect",
    "connect_read_only",
    "transaction",
]
