"""Training a router by double DQN (the optional extra `rl`): ``python -m cqb_qos.rl``.

Stable-Baselines3 trains; what is added to it here are environments whose every action is tried
(:mod:`..branches`), a replay buffer for them, and double targets.
"""
