"""Models of the catalogue that are billed by seconds or characters."""

from datetime import UTC, datetime

from control.catalogue.genai import genai_prices


def test_units() -> None:
    """Hours of audio become seconds, rounded up; characters stay what they are; tokens cost nothing beside
    them, and models billed by both aren't priced."""
    listed = {(each.provider_type, each.model): each.rates for each in genai_prices(datetime.now(UTC)).prices}
    assert listed["openai", "whisper-1"] == {"input": 0, "output": 0, "second": 100_000_000_000}
    assert listed["openai", "tts-1"] == {"input": 0, "output": 0, "character": 15_000_000_000}
    third = listed["groq", "whisper-large-v3"]["second"]
    assert 0 <= third * 3600 - 111_000_000 * 1_000_000 < 3600
    assert ("mistral", "voxtral-small-24b-2507") not in listed
    assert listed["openai", "gpt-4o-mini-tts"]["output"] == 12_000_000_000


def test_batches_at_half() -> None:
    """OpenAI's models have a tier for batches at half of their tokens, steps too; others' have none."""
    listed = {(each.provider_type, each.model): each.rates for each in genai_prices(datetime.now(UTC)).prices}
    mini = listed["openai", "gpt-4o-mini"]
    [tier] = mini["tiers"]
    assert (mini["input"], mini["output"]) == (150_000_000, 600_000_000)
    assert (tier["service_tier"], tier["input"], tier["cached_input"], tier["output"]) == (
        "batch",
        75_000_000,
        37_500_000,
        300_000_000,
    )
    stepped = [rates for (kind, _), rates in listed.items() if kind == "openai" and rates.get("steps")]
    for rates in stepped:
        for step, half in zip(rates["steps"], rates["tiers"][0]["steps"], strict=True):
            assert half["output"] == -(-step["output"] // 2)
    assert stepped
    assert all("tiers" not in rates for (kind, _), rates in listed.items() if kind != "openai")
