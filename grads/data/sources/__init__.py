"""Where data comes from: the package index, the hub, lm-eval's benchmarks, and what is made from them."""
