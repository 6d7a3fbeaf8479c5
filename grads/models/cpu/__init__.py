"""What makes a model quick, and safe, on a CPU: attention, compiled layers, and products over long dimensions."""
