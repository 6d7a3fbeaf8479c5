"""What `import grads` offers in Python: the stages as functions, and the jobs behind them, run in this process."""
