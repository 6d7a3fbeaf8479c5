"""The long table of measurements, and the tables, figures and report made from it."""
