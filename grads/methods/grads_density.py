"""`grads_density`: GrADS as independent readers describe it, the densest records by gradient magnitude.

The gradient norms of input embedding and LM head after a preliminary epoch are combined and a kernel density is
estimated; the records at high density are kept, not those with large gradients. The reduction (l2 norm) and the
combination (sum) are not stated in what is known of the paper: both are ours, as are Gaussian kernel, Scott's bandwidth
and taking the highest densities instead of sampling.
"""

from grads.methods.contract import Choice, Inputs, Method, Needs, Parameters


def needs(_parameters: Parameters) -> Needs:
    """Return the need of the gradient statistics."""
    return Needs(frozenset({"warm"}))


def select(inputs: Inputs, _parameters: Parameters) -> Choice:
    """Choose the records whose summed norm is densest; the score is the density."""
    from grads.methods.density import density

    warm = inputs.signals["warm"]
    return Choice(density((warm["embedding_l2"] + warm["head_l2"]).to_numpy()))


METHOD = Method(
    "grads_density", "GrADS (density)", "arXiv 2511.08620, as described by third parties", select, needs=needs
)
