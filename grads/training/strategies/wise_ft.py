"""`wise_ft`: the weights of another arm's run, moved back towards the base model's (WiSE-FT); nothing is trained.

With w0 the base model's weights and w those that the run of `arm` ended with, the arm's model has w0 + alpha (w - w0):
alpha 0 is the untuned model, 1 that run's own. Several arms that name the same run make a curve of what is learnt
against what is forgotten, out of one training.

Certain: the formula is the paper's (arXiv 2109.01903, section 3), which interpolates all weights of a zero-shot model
and of the model that was fine-tuned from it, and finds 0.5 a good strength where nothing is known.

Ours: with an adapter, w - w0 is the change s B A that it makes to a layer's weight, so its B is multiplied by alpha,
which gives the same weights as an interpolation of merged ones. w0 is the untuned model, also where the run went on
from the preliminary epoch. The arm says all that the other one says but its strategy, so that both keep the same
records; it is charged what the other one's training took, and nothing more: whoever wants this model alone has to spend
that. Among alphas none is chosen here: what scores best on the test set is not known before it is scored.
"""

from pydantic import Field

from grads.config.section import Name
from grads.training.strategies.contract import Needs, Parameters, Strategy


class WiseFt(Parameters):
    """Parameters of `wise_ft`."""

    arm: Name = Field("full", description="The arm whose run it is made of, at the same ratio and seed.")
    alpha: float = Field(0.5, ge=0, le=1, description="How much of that run's change stays: 0 is untuned, 1 is all.")


def needs(parameters: WiseFt) -> Needs:
    """Return the need of the other arm's run."""
    return Needs(run=parameters.arm)


def scale(parameters: WiseFt) -> float:
    """Return the share of the change that stays."""
    return parameters.alpha


STRATEGY = Strategy(
    name="wise_ft",
    title="Weights moved back to the base (WiSE-FT)",
    source="arXiv 2109.01903, section 3",
    parameters=WiseFt,
    needs=needs,
    scale=scale,
)
