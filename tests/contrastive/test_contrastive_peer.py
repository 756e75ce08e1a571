"""A whole training against torch: autograd, its layer norm, clipping and AdamW. Skips without torch."""

import numpy as np
import pytest

from cqb.contrastive import RefinementSettings
from cqb.contrastive.profiles import select_pairs, utility_profiles
from cqb.contrastive.training import initial, train

STEPS, M, D = 12, 17, 6


def _torch_model(torch, start):
    """The same projection as a torch module, with the same first parameters."""
    *layers, gain, _ = start
    modules = []
    for weight, bias in zip(layers[::2], layers[1::2], strict=True):
        linear = torch.nn.Linear(*weight.shape, dtype=torch.float64)
        linear.weight.data = torch.tensor(weight.T.copy())
        linear.bias.data = torch.tensor(bias)
        modules += [linear, torch.nn.ReLU()]
    modules[-1] = torch.nn.LayerNorm(gain.size, dtype=torch.float64)
    return torch.nn.Sequential(*modules)


def _torch_loss(torch, model, x, pairs, temperature):
    z = torch.nn.functional.normalize(model(x), dim=1)
    losses = []
    for a in np.flatnonzero(pairs.anchor):
        positive = int(pairs.positive[a])
        order = [positive, *(j for j in np.flatnonzero(pairs.candidates[a]) if j != positive)]
        logits = (z[order] @ z[a] / temperature)[None]
        losses.append(torch.nn.functional.cross_entropy(logits, torch.tensor([0])))
    return torch.stack(losses).mean()


@pytest.mark.parametrize("hidden", [None, 10])
def test_training_is_torchs_training(hidden):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(4)
    x = rng.normal(size=(M, D))
    pairs = select_pairs(utility_profiles(rng.integers(0, 2, (M, 4)).astype(float)), 0.5, 0.3, 5)
    settings = RefinementSettings(
        hidden=hidden,
        output=8,
        epochs=STEPS,
        learning_rate=0.01,
        weight_decay=0.1,
        clip=5.0,
        precision="float64",
    )
    ours = train(x, pairs, settings, rng=np.random.default_rng(9))
    widths = (D, 8) if hidden is None else (D, hidden, 8)
    model = _torch_model(torch, initial(widths, x.dtype, np.random.default_rng(9)))
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1)
    losses, norms = [], []
    for _ in range(STEPS):
        optimiser.zero_grad()
        loss = _torch_loss(torch, model, torch.tensor(x), pairs, settings.temperature)
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)))
        optimiser.step()
        losses.append(float(loss.detach()))
    np.testing.assert_allclose(ours.losses, losses, rtol=1e-5)
    assert max(norms) > 5.0 > min(norms)
    for found, expected in zip(ours.projection, model.parameters(), strict=True):
        theirs = expected.detach().numpy()
        theirs = theirs.T if theirs.ndim == 2 else theirs
        np.testing.assert_allclose(found, theirs, atol=1e-5)
