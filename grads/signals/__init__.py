"""Signals: what a probe writes of each record and a method reads; their names, columns, vectors and stores."""
