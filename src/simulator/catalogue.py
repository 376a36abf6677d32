"""Workers AI's catalogue as `/ai/models/search` tells it: few models, in the shape of the real ones."""

from typing import Any
from uuid import NAMESPACE_URL, uuid5

_TASKS = {
    "Text Generation": "Family of generative text models, such as large language models.",
    "Text Embeddings": "Feature extraction models transform raw data into numerical features.",
    "Text-to-Image": "Generates images from input text.",
    "Automatic Speech Recognition": "Transcribes speech into text.",
    "Translation": "Translates text from one language to another.",
}
# name, task, what it is, context window.
_MODELS = (
    ("@cf/meta/llama-3.1-8b-instruct", "Text Generation", "Instruction-tuned text model.", "7968"),
    ("@cf/meta/llama-3.2-3b-instruct", "Text Generation", "Small instruction-tuned text model.", "80000"),
    ("@cf/meta/llama-3.3-70b-instruct-fp8-fast", "Text Generation", "70B text model in fp8.", "24000"),
    ("@cf/meta/llama-4-scout-17b-16e-instruct", "Text Generation", "Multimodal mixture.", "131000"),
    ("@cf/mistralai/mistral-small-3.1-24b-instruct", "Text Generation", "Text and vision.", "128000"),
    ("@cf/openai/gpt-oss-120b", "Text Generation", "Open-weight reasoning model.", "128000"),
    ("@cf/openai/gpt-oss-20b", "Text Generation", "Small open-weight reasoning model.", "128000"),
    ("@cf/qwen/qwen3-30b-a3b-fp8", "Text Generation", "Mixture of experts.", "32768"),
    ("@cf/google/gemma-3-12b-it", "Text Generation", "Multilingual text model.", "80000"),
    ("@cf/baai/bge-m3", "Text Embeddings", "Multilingual embeddings.", "60000"),
    ("@cf/baai/bge-base-en-v1.5", "Text Embeddings", "English embeddings of 768 numbers.", None),
    ("@cf/google/embeddinggemma-300m", "Text Embeddings", "Small multilingual embeddings.", None),
    ("@cf/black-forest-labs/flux-1-schnell", "Text-to-Image", "12B rectified flow transformer.", None),
    ("@cf/openai/whisper-large-v3-turbo", "Automatic Speech Recognition", "Transcription.", None),
    ("@cf/meta/m2m100-1.2b", "Translation", "Many-to-many multilingual translation.", None),
)


def _item(name: str, task: str, description: str, context_window: str | None) -> dict[str, Any]:
    item: dict[str, Any] = {
        "id": str(uuid5(NAMESPACE_URL, name)),
        "source": 1,
        "name": name,
        "description": description,
        "task": {"id": str(uuid5(NAMESPACE_URL, task)), "name": task, "description": _TASKS[task]},
        "tags": [],
    }
    # Some models have no properties at all, as live.
    if context_window is not None:
        item["properties"] = [{"property_id": "context_window", "value": context_window}]
    return item


CATALOGUE = tuple(_item(*model) for model in _MODELS)


def search(text: str, task: str, author: str) -> list[dict[str, Any]]:
    """Models whose name or description has the text, of one task and one author where they are named."""
    return [
        item
        for item in CATALOGUE
        if text.lower() in f"{item['name']} {item['description']}".lower()
        and task.lower() in ("", item["task"]["name"].lower())
        and author.lower() in ("", item["name"].split("/")[1])
    ]
