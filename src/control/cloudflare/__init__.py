"""Cloudflare's management API: the account's AI gateways and its model catalogue. Nothing here knows tenants.

Verified against the simulator, not yet against a real account (`tollkeeper doctor --live` does that).
"""
