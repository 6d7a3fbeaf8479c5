"""Fine-tuning: what a run trains on, the loss, the trainer, checkpoints."""
