"""The edge: the OpenAI-compatible data plane, without a database."""
