"""Fine-tuning: the loss, the trainer, checkpoints."""
