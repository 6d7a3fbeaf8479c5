"""How signals are measured: passes over records, their batches, and the runs that write a store."""
