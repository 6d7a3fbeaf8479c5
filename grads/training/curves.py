"""Training curves for TensorBoard: event files that are written while a run goes on."""

from pathlib import Path

from transformers.integrations import TensorBoardCallback

from grads.training.needs import check_tensorboard


def event_files(folder: Path, step: int) -> TensorBoardCallback:
    """Return what writes the loss, the gradient norm and the learning rate of each step to event files.

    Args:
        folder: gets one file more with each attempt.
        step: the last that is done: what earlier attempts wrote of later ones is hidden.

    Raises:
        GradsError: the package is not installed.
    """
    check_tensorboard()
    from torch.utils.tensorboard import SummaryWriter

    return TensorBoardCallback(SummaryWriter(str(folder), purge_step=step + 1))
