"""The Gemini API as Google serves it: generateContent, its stream in both forms, and countTokens.

Facts: Google's reference of the Gemini API and captured answers, all of 2026.
"""
