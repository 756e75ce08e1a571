"""The learned policy without its library: potentials, the encoder and its weights."""

from functools import partial

import numpy as np
import pandas as pd
import pytest

from cqb_qos import Episodes, Load, default_system, networks, serve, stack, summaries, workload
from cqb_qos.demonstrations import order_effects, reordered, states
from cqb_qos.forecast import potential, work_left
from cqb_qos.networks import NETWORKS, initial
from cqb_qos.observe import observe
from cqb_qos.policies import rollout
from cqb_qos.trained_models import (
    CONTROLS,
    MAIN,
    MODELS,
    LearnedRouter,
    TrainedModel,
    histories,
    load,
    store,
)

LOADS = (Load("Poisson", 4.0), Load("Gamma", 5.0))


def batch_of(T: int, seeds=(0, 1, 2)):
    return stack([workload(load, seed, T) for load in LOADS for seed in seeds])


def some_actions(B: int, T: int) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 4, size=(T, B))


def some_decision(T: int = 60):
    batch, actions = batch_of(T), some_actions(6, T)
    episodes = Episodes(batch, default_system())
    for k in range(T - 1):
        episodes.step(actions[k])
    return episodes.decision


# --- the potential ---------------------------------------------------------------------------------


def test_the_potential_is_what_a_drain_would_pay():
    """At any time, with requests that run and wait: the simulator, run to its end, agrees exactly."""
    batch, actions = batch_of(60), some_actions(6, 60)
    waited = 0
    for stop in (1, 2, 7, 20, 59):
        episodes = Episodes(batch, default_system())
        for k in range(stop):
            episodes.step(actions[k])
        experts = episodes.experts
        experts.add(stop, actions[stop])
        waited += int(experts.waiting.sum())
        foreseen = potential(experts)
        assert (experts.earned < foreseen).any()
        experts.advance(np.full(6, np.inf))
        assert foreseen == pytest.approx(experts.earned, abs=1e-9)
    assert waited > 10


def test_work_left_is_what_one_request_adds_to_another():
    """Alone, a request of d tokens and a prompt p has d - 1 iterations left after its prefill."""
    one = workload(LOADS[0], 0, 3)
    episodes = Episodes(stack([one]), default_system())
    assert work_left(episodes.experts).tolist() == [0.0]
    episodes.experts.add(0, np.array([1]))
    left, held = one.lengths[1, 0] - 1, one.prompts[0] + 1
    assert work_left(episodes.experts)[0] == pytest.approx(2.5e-5 * left * (held + left / 2))
    episodes.experts.advance(np.array([np.inf]))
    assert work_left(episodes.experts).tolist() == [0.0]


# --- the encoder ----------------------------------------------------------------------------------


def trained(network: str = "graph", N: int = 3, seed: int = 0) -> dict[str, np.ndarray]:
    """Weights without zeros, as if trained."""
    random = np.random.default_rng(seed)
    weights = initial(network, N, random)
    return {
        name: w + random.normal(0.0, 0.1, w.shape).astype(np.float32) for name, w in weights.items()
    }


def test_permuted_experts_permute_values():
    """T6: to rounding; a drop keeps its value."""
    packed, weights, order = networks.pack(observe(some_decision())), trained(), [2, 0, 1]
    values = networks.graph_values(weights, packed)
    moved = networks.graph_values(weights, reordered(packed, order))
    assert values.shape == (6, 4)
    assert np.ptp(values, axis=1).min() > 1e-3
    assert moved[:, :3] == pytest.approx(values[:, order], abs=1e-5)
    assert moved[:, 3] == pytest.approx(values[:, 3], abs=1e-5)


def test_the_published_readout_cannot_tell_experts_apart():
    """T6's control: loads moved between experts leave it, and the values made from it, as they were."""
    packed, weights = networks.pack(observe(some_decision())), trained("arrived")
    other = reordered(packed, [2, 0, 1])
    readouts = [networks.arrived_readout(weights, networks.unpack(p)) for p in (packed, other)]
    assert abs(packed - other).max() > 0.1
    assert readouts[1] == pytest.approx(readouts[0], abs=1e-5)
    assert np.ptp(readouts[0], axis=0).max() > 1e-2
    values = [NETWORKS["arrived"].values(weights, p) for p in (packed, other)]
    assert values[1] == pytest.approx(values[0], abs=1e-5)


def test_any_number_of_experts_will_do():
    """Weights do not depend on N; a sixth expert that nobody needs changes no one's features."""
    one = stack([workload(LOADS[0], 3, 20, 5)])
    packed = networks.pack(observe(Episodes(one, default_system(5)).decision))
    assert packed.shape == (1, networks.size(5))
    assert networks.graph_values(trained(), packed).shape == (1, 6)


def test_empty_places_are_not_looked_at():
    packed, weights = networks.pack(observe(some_decision())), trained()
    graph = networks.unpack(packed)
    noise = np.where(graph.running_mask[..., None] > 0, graph.running, 9.0).astype(np.float32)
    full = graph._replace(running=noise)
    parts = [part.reshape(6, -1) for part in full]
    assert (graph.running_mask == 0).any()
    assert networks.graph_values(weights, np.concatenate(parts, axis=1)) == pytest.approx(
        networks.graph_values(weights, packed), abs=1e-6
    )


@pytest.mark.parametrize("network", ["graph", "flat"])
def test_an_untrained_network_is_the_priced_rollout(network):
    weights = initial(network, 3, np.random.default_rng(0))
    batch = batch_of(150)
    mine = serve(batch, default_system(), LearnedRouter(network, weights)).actions
    rule = serve(batch, default_system(), partial(rollout, price=networks.PRICE)).actions
    assert (mine == rule).mean() > 0.999  # float32 may break a tie otherwise
    assert (rule == 3).any()


@pytest.mark.parametrize("network", NETWORKS)
def test_environments_served_beside_it_do_not_decide_a_near_tie(network, monkeypatch):
    """The values that a router compares are those of one environment alone, far below a near-tie."""
    seen, values = [], NETWORKS[network].values

    def recorded(weights, packed):
        seen.append((packed, values(weights, packed)))
        return seen[-1][1]

    monkeypatch.setitem(NETWORKS, network, NETWORKS[network]._replace(values=recorded))
    weights = trained(network, 3)
    LearnedRouter(network, weights)(some_decision())
    ((packed, together),) = seen
    alone = np.concatenate([values(weights, row[None]) for row in packed])
    assert together == pytest.approx(alone, rel=1e-12, abs=1e-12)
    exact = {name: weight.astype(np.float64) for name, weight in weights.items()}
    assert together == pytest.approx(values(exact, packed.astype(np.float64)), rel=1e-12, abs=1e-12)


def test_effects_of_the_order():
    """What the notebook prints: an encoder follows its experts, and its readout does not notice."""
    packed = states(LOADS[0], (1, 2), 40, default_system())
    effects = order_effects(trained(), packed, [1, 2, 0])
    assert effects["values"] < 1e-4 > effects["readout"]
    assert effects["experts"] > 1e-2


# --- weights on disk ------------------------------------------------------------------------------


def test_weights_and_record_come_back(tmp_path):
    router = LearnedRouter("graph", trained())
    store(router, tmp_path / MAIN[0].file, history=[{"frames": 5, "seconds": 2.0, "mean": 0.5}])
    again, about = load(MAIN[0], tmp_path)
    assert about == {"history": [{"frames": 5, "seconds": 2.0, "mean": 0.5}]}
    assert again.network == "graph"
    assert all((again.weights[name] == router.weights[name]).all() for name in router.weights)
    assert histories(MAIN[:1], tmp_path).to_numpy().tolist() == [["DDQN #0", 5, 2.0, 0.5]]


def test_bad_weights_are_refused_by_name(tmp_path):
    path, weights = tmp_path / MAIN[0].file, trained()
    with pytest.raises(FileNotFoundError):
        load(MAIN[0], tmp_path)
    store(LearnedRouter("graph", weights), path)
    content = path.read_bytes()
    path.write_bytes(content[:-100])
    with pytest.raises(ValueError, match=MAIN[0].file):
        load(MAIN[0], tmp_path)
    for bad, message in (
        (weights | {"relation.b": np.zeros(3, np.float32)}, "relation.b: found"),
        ({k: v for k, v in weights.items() if k != "relation.w"}, "relation.w is missing"),
        (weights | {"self.0.b": np.full(64, np.nan, np.float32)}, "not finite"),
    ):
        store(LearnedRouter("graph", bad), path)
        with pytest.raises(ValueError, match=message):
            load(MAIN[0], tmp_path)
    store(LearnedRouter("graph", weights), path)
    path.write_bytes(path.read_bytes().replace(b"cqb qos policy 1", b"cqb qos policy 9"))
    with pytest.raises(ValueError, match="expected 'cqb qos policy 1'"):
        load(MAIN[0], tmp_path)
    store(LearnedRouter("flat", trained("flat", 2)), path)
    with pytest.raises(ValueError, match=r"hidden\.0\.w"):
        load(MAIN[0], tmp_path)


# --- the summaries --------------------------------------------------------------------------------


def test_summaries_are_of_the_rows():
    """Means over training seeds, paired differences and the worst, by hand on a few rows."""
    made = [
        (t.policy, "Poisson", 4.0, seed, 0.5 + 0.1 * (t.network == "flat") + 0.01 * t.seed * seed)
        for t in (*MAIN, *CONTROLS)
        for seed in (1, 2)
    ]
    rows = pd.DataFrame(made, columns=["policy", "kind", "rate", "seed", "qos"])
    rows = rows.assign(part="test", system="default")
    assert summaries.worst(rows, LOADS[:1]) == "DDQN #0"
    rows.loc[rows["policy"] == "DDQN #2", "qos"] -= 0.2
    assert summaries.worst(rows, LOADS[:1]) == "DDQN #2"
    level = summaries.levels(rows, LOADS[:1])
    # Seed means: .5, .515 and .33.
    assert level.loc["DDQN", "Poisson 4"] == "0.448 (0.330 to 0.515)"
    gaps = summaries.control_differences(rows, LOADS[:1])
    assert "DDQN" not in gaps.index
    flat = [t.seed for t in CONTROLS if t.network == "flat"]
    means = [0.6 + 0.01 * np.mean(flat) * s - (0.5 + 0.01 * s - 0.2 / 3) for s in (1, 2)]
    half = 12.7062 * np.std(means, ddof=1) / np.sqrt(2)
    assert gaps.loc["DDQN flat", "Poisson 4"] == f"{np.mean(means):+.3f} ± {half:.3f}"
    rule = rows[rows["policy"] == "DDQN #0"].assign(policy="Priced rollout")
    table = summaries.learned_differences(rule, rows, ["Priced rollout"], LOADS[:1])
    assert table.loc[("Priced rollout", "DDQN #0"), "Poisson 4"] == "+0.000 ± 0.000"
    both = summaries.with_worst(rule, rows, "DDQN #1")
    assert set(both["policy"]) == {"Priced rollout", summaries.WORST}


def test_policies_have_different_names():
    assert len(MODELS) == len(MAIN + CONTROLS) == len({model.file for model in MODELS.values()})
    assert {"DDQN #0", "DDQN impact 1 #2", "DDQN flat #1", "DDQN arrived #0"} <= set(MODELS)
    assert TrainedModel("flat", 0.5, 7).policy == "DDQN flat impact 0.5 #7"


def test_stored_weights_are_of_the_models_named():
    for model in MODELS.values():
        router, about = load(model)
        training = about["training"]
        assert router.network == training["network"] == model.network
        assert (training["seed"], training["episodes"]["beta"]) == (model.seed, model.beta)
        assert about["history"][-1]["frames"] == training["frames"]
