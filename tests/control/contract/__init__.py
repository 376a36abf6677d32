"""Tests generated over the whole contract: a new RPC is covered without a line here."""

from tests.control.contract.methods import METHODS

__all__ = ["METHODS"]
