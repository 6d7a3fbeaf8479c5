"""Selection: what a method is, which methods there are, and how one is run on stored signals."""
