"""Generation, general benchmarks through lm-eval, drift, and text metrics."""
