"""Fields of events: call sites, orders, addresses of struct pages."""

from __future__ import annotations

from kmem_oracle.traces.request import LONGEST, Garbled


def site_of(before: str) -> str:
    """Return the call site's text.

    Errors   Garbled where it does not begin as one does
    """
    if len(before) > LONGEST:
        raise Garbled(before[:LONGEST])
    if before.startswith("call_site="):
        return before
    plain = before.lstrip()
    if not plain.startswith(("call_site=", "(")) or "call_site=" not in plain:
        raise Garbled(before)
    return plain


def order_of(text: str) -> int:
    """Return an order; what is above 63 is none."""
    order = int(text) if len(text) < 4 else 64
    if not 0 <= order < 64:
        raise Garbled(text)
    return order


def struct_of(before: str) -> int:
    """Return the address of a struct page, 0 for none."""
    text = before.lstrip().removeprefix("page=")
    if len(text) == len(before.lstrip()):
        raise Garbled(before)
    if text in ("(null)", "(nil)", "0"):
        return 0
    if len(text) > 18:
        raise Garbled(before)
    return int(text, 16)
