"""What the figures share: style, fitting, the measures that they show, and the Pareto front."""
