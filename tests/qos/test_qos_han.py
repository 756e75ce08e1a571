"""T6's control with the published layer: two HANConv layers, read out at the arriving request."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra rl is not installed")
HANConv = pytest.importorskip("torch_geometric.nn", reason="the extra rl is not installed").HANConv

from cqb_qos import Load, default_system, networks  # noqa: E402
from cqb_qos.demonstrations import reordered, states  # noqa: E402

TYPES = {
    "arrived": networks.ARRIVED * 3,
    "expert": networks.EXPERT,
    "running": networks.RUNNING,
    "waiting": networks.WAITING,
}
PAIRS = (("arrived", "expert"), ("expert", "running"), ("expert", "waiting"))
EDGES = [(a, "to", b) for a, b in PAIRS] + [(b, "to", a) for a, b in PAIRS]


def nodes_and_edges(packed: np.ndarray, request: torch.Tensor):
    """One state as a graph: one arriving node, each running and waiting request tied to its expert."""
    graph = networks.unpack(packed)
    nodes = {"arrived": request, "expert": torch.from_numpy(graph.experts[0])}
    edges = {("arrived", "expert"): [[0, 0, 0], [0, 1, 2]]}
    for name, features, mask in (
        ("running", graph.running[0], graph.running_mask[0]),
        ("waiting", graph.waiting[0], graph.waiting_mask[0]),
    ):
        expert, slot = np.nonzero(mask)
        nodes[name] = torch.from_numpy(features[expert, slot])
        edges["expert", name] = [expert.tolist(), list(range(expert.size))]
    index = {}
    for (a, b), (source, target) in edges.items():
        index[a, "to", b] = torch.tensor([source, target], dtype=torch.long)
        index[b, "to", a] = index[a, "to", b].flip(0)
    return nodes, index


def readout(packed: np.ndarray, request: torch.Tensor) -> torch.Tensor:
    nodes, edges = nodes_and_edges(packed, request)
    torch.manual_seed(0)
    metadata = (list(TYPES), EDGES)
    first = HANConv(TYPES, 64, metadata, heads=8).eval()
    second = HANConv(dict.fromkeys(TYPES, 64), 64, metadata, heads=8).eval()
    with torch.no_grad():
        return second(first(nodes, edges), edges)["arrived"]


def busy_state() -> np.ndarray:
    packed = states(Load("Poisson", 8.0), range(30), 60, default_system())
    waiting = networks.unpack(packed).waiting_mask.sum(axis=(1, 2))
    return packed[[int(waiting.argmax())]]


def test_the_readout_does_not_say_which_expert_is_busy():
    """Loads change places between experts; the request stays as it is."""
    packed, request = busy_state(), torch.rand(1, TYPES["arrived"])
    other = reordered(packed, [2, 0, 1])
    before, after = networks.unpack(packed), networks.unpack(other)
    assert abs(before.experts - after.experts).max() > 0.05
    assert before.waiting_mask.any()
    assert readout(other, request) == pytest.approx(readout(packed, request), abs=1e-6)
    # It does hear of loads as such: with one running request changed it differs.
    changed = packed.copy()
    start = 3 * (networks.ARRIVED + networks.EXPERT)
    changed[:, start : start + 3 * networks.SHOWN * networks.RUNNING] *= 2.0
    assert abs(readout(changed, request) - readout(packed, request)).max() > 1e-3
