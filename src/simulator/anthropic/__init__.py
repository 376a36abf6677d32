"""Anthropic's Messages API. Facts: its reference, and the Python SDK's types, of 2026."""
