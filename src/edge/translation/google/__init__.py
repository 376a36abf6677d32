"""OpenAI's chat format to Gemini's generateContent, and its answers back.

Facts: the reference of the Gemini API (generateContent, streamGenerateContent, function calling, thinking,
thought signatures), v1beta. docs/translation.md lists each field.
"""

VENDOR = "google"
