"""How a table becomes CSV, Markdown, LaTeX, HTML or lines in a terminal."""
