"""OpenAI's endpoints for images, audio, files and batches."""
