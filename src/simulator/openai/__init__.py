"""OpenAI's JSON endpoints beside chat: completions, embeddings, moderations and responses."""
