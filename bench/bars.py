"""Progress bars."""

from tqdm import tqdm


def counting(what: str, total: int) -> tqdm:
    """Give a bar that counts to `total`."""
    return tqdm(desc=f"{what:<26}", total=total, unit="", unit_scale=True)
