"""Money is an integer number of nano-dollars (1e-9 USD); decimal text is for people and HTTP."""

from decimal import Decimal, InvalidOperation

NANOUSD_PER_USD = 1_000_000_000
# int64 with room to add: amounts past a billion dollars are mistakes.
MAX_NANOUSD = 1_000_000_000 * NANOUSD_PER_USD


def parse_usd(text: str) -> int:
    """Nano-dollars of a decimal text such as `0.01`. Raises ValueError for anything else."""
    try:
        amount = Decimal(text.strip().removeprefix("$"))
    except InvalidOperation:
        raise ValueError(f"{text!r} is not an amount in US dollars") from None
    if not amount.is_finite():
        raise ValueError(f"{text!r} is not an amount in US dollars")
    if amount and amount.adjusted() < -9:
        # Before it is scaled: what is smaller than Decimal can hold would become nothing, that is free.
        raise ValueError(f"{text!r} has more than nine decimals")
    if amount.copy_abs() > MAX_NANOUSD // NANOUSD_PER_USD:
        raise ValueError(f"{text!r} is more than a billion dollars")
    scaled = amount * NANOUSD_PER_USD
    if scaled != scaled.to_integral_value():
        raise ValueError(f"{text!r} has more than nine decimals")
    return int(scaled)


def format_usd(nanousd: int) -> str:
    """Exact decimal text, without trailing zeros but with at least two decimals: 12300000 → `0.0123`."""
    sign = "-" if nanousd < 0 else ""
    whole, fraction = divmod(abs(nanousd), NANOUSD_PER_USD)
    decimals = f"{fraction:09d}".rstrip("0").ljust(2, "0")
    return f"{sign}{whole}.{decimals}"
