"""Stand-in for Cloudflare AI Gateway and the vendors behind it; imports nothing of the other parts."""
