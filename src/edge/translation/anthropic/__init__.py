"""OpenAI chat to Anthropic's Messages API and back.

Facts: the Messages API's reference and its Python SDK's types, of 2026; docs/translation.md has the mapping.
"""

VENDOR = "anthropic"
# What is said here is said in this version, whatever an SDK's default is. Newer ones know no sampling
# parameters at all, and add nothing that OpenAI's format could ask for.
API_VERSION = "2023-06-01"
