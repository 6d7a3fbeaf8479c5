"""Algorithms that several methods are made of; they know no method."""
