"""The `tollkeeper` command."""
