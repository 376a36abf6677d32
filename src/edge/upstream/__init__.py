"""Upstream side of the edge: how requests leave for Cloudflare or a vendor."""
