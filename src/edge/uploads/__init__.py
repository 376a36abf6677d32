"""Requests whose bodies are files: read as they come, never held in memory."""
