"""What every stage needs to run: errors, atomic files, manifests, progress, device slots. Imports nothing heavy."""
