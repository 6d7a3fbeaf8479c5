"""What a user writes: one Pydantic model a section of the config, its reading, its mistakes and its schema."""
