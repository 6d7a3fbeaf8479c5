"""Loading a model and its tokenizer, adapters, device and dtype choice."""
