"""What comes with grads besides its code, as a wheel has it; see `grads.runtime.shipped`."""
