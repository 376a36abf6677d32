"""Rates and concurrent requests: shares of them in memory, renewed off the request path (L4)."""
