"""What is said of records that are too long for a model."""

from collections.abc import Mapping


def length_sentence(lengths: Mapping[str, Mapping[str, int]], max_length: int) -> str:
    """Return in words how many records of each split do not fit; empty where all do."""
    names = {"train": "training", "validation": "validation", "test": "test"}
    parts = []
    for split, count in lengths.items():
        if count["too_long"]:
            parts.append(f"{count['too_long']} of {count['records']} {names[split]} records are left out")
        if count["truncated"] and split != "test":
            parts.append(f"{count['truncated']} of {count['records']} {names[split]} answers are cut")
    return f"longer than max_length = {max_length} tokens: {', '.join(parts)}" if parts else ""
