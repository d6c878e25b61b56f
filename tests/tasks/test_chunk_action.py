# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Settings that chunked actions refuse."""

from types import SimpleNamespace

import pytest

pytestmark = pytest.mark.sim


def test_a_horizon_must_divide_the_decimation():
    from flow_rl_tasks.mdp import ticks_per_action

    assert ticks_per_action(horizon=4, decimation=8) == 2
    with pytest.raises(ValueError, match=r"horizon=3 does not divide decimation=8; valid horizons are \[1, 2, 4, 8\]"):
        ticks_per_action(horizon=3, decimation=8)
    with pytest.raises(ValueError, match="horizon=0"):
        ticks_per_action(horizon=0, decimation=8)


def test_the_configuration_refuses_a_horizon_that_does_not_divide():
    from flow_rl_tasks.tabletop.lift.lift_env_cfg import LiftEnvCfg

    cfg = LiftEnvCfg()
    cfg.set_horizon(8)
    cfg.validate()
    cfg.actions.chunk.horizon = 3
    with pytest.raises(ValueError, match="set_horizon"):
        cfg.validate()


def test_explicit_actuators_are_refused():
    from isaaclab.actuators import IdealPDActuatorCfg, ImplicitActuatorCfg

    from flow_rl_tasks.mdp.actions import refuse_explicit_actuators

    def env(actuator_type: type) -> SimpleNamespace:
        actuator = actuator_type(joint_names_expr=[".*"], stiffness=1.0, damping=1.0)
        robot = SimpleNamespace(cfg=SimpleNamespace(actuators={"arm": actuator}))
        return SimpleNamespace(scene=SimpleNamespace(articulations={"robot": robot}))

    refuse_explicit_actuators(env(ImplicitActuatorCfg))
    with pytest.raises(ValueError, match=r"scene.robot.actuators\['arm'\] is IdealPDActuatorCfg.*ImplicitActuatorCfg"):
        refuse_explicit_actuators(env(IdealPDActuatorCfg))
