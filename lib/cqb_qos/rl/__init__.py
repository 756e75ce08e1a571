"""Training a router by double DQN (the optional extra `rl`): ``python -m cqb_qos.rl``.

Stable-Baselines3 trains. This package adds environments in which every action is tried
(:mod:`..branches`), a replay buffer for them, and double targets.
"""
