"""The `tollkeeper` command: one module per noun, the same verbs everywhere (docs/cli.md)."""
