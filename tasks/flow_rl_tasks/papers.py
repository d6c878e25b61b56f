# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What the authors of the learners run, as far as their papers and code say: ``presets=paper`` on the command line.

Sizes of the policy's networks, numbers of environments and what belongs to a simulator stay ours. ScoRe-Flow is arXiv
2604.10962, ReinFlow arXiv 2505.22094, RLDT arXiv 2606.08602.
"""

from __future__ import annotations

from flow_rl.configs.compose import Settings, combined
from flow_rl_tasks.settings import on_policy

ALL: Settings = {
    **on_policy(
        learning_rate=4.5e-5,
        final_learning_rate=2.0e-5,
        critic_learning_rate=6.5e-4,
        final_critic_learning_rate=3.0e-4,
        max_grad_norm=None,
        critic_warmup=0,
        gamma=0.99,
        entropy_coef=0.03,
        target_kl=1.0,
        std_min=0.08,
        std_max=0.16,
    ),
    "rldt": {
        "critic.dueling": False,
        "algorithm.lam": 0.5,
        "algorithm.value_lam": None,
        "algorithm.bootstrap": "min",
        "algorithm.bootstrap_draws": 2,
        "algorithm.num_critic_updates": 512,
        "algorithm.critic_warmup": 2,
        "algorithm.learning_rate": 2.0e-5,
        "algorithm.final_learning_rate": 2.0e-5,
        "algorithm.preconditioner": "none",
        "algorithm.consistency_coef": 0.5,
        "algorithm.reference_coef": 0.2,
        "algorithm.exploration": "min_extrp",
        "algorithm.exploration_std": 1.0,
        "algorithm.exploration_min_time": 0.75,
        "algorithm.balance_successes": True,
    },
}

# Success pays on the kitchen without a bonus for noise; 140 steps an iteration.
KITCHEN = on_policy(
    entropy_coef=0.0, std_min=0.05, std_max=0.12, num_learning_epochs=10, num_mini_batches=14, learn_score_coef=True
)
KITCHEN_MIXED = combined(KITCHEN, on_policy(entropy_coef=0.01))

# Theirs are seen through cameras; their one step of the flow is kept.
CAN = combined(
    on_policy(
        num_steps_per_env=300,
        learning_rate=2.0e-5,
        final_learning_rate=1.0e-5,
        max_grad_norm=25.0,
        critic_warmup=5,
        gamma=0.999,
        entropy_coef=0.01,
        target_kl=0.01,
        std_max=0.14,
        std_schedule="learn",
        num_learning_epochs=10,
        num_mini_batches=2,
        learn_score_coef=False,
    ),
    {name: {"actor.num_flow_steps": 1} for name in ("score_flow", "reinflow")},
)
SQUARE = combined(
    CAN,
    on_policy(
        num_steps_per_env=400,
        learning_rate=3.5e-6,
        final_learning_rate=3.5e-6,
        critic_learning_rate=4.5e-4,
        final_critic_learning_rate=4.5e-4,
        learn_score_coef=True,
    ),
)

# A larger critic for assembly, which learns half as fast.
FURNITURE: Settings = {
    "rldt": {
        "critic.hidden_dims": [512, 512, 512],
        "algorithm.critic_learning_rate": 5.0e-4,
        "algorithm.final_critic_learning_rate": 5.0e-4,
    }
}
