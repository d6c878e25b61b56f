# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Scripted expert that assembles any furniture from its data."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from isaaclab.envs import ManagerBasedEnv
from isaaclab.utils.math import combine_frame_transforms, quat_apply, quat_mul, subtract_frame_transforms

from flow_rl_tasks.mdp import step_towards

from .geometry import angle, approach, shortest_arc, yaw_near
from .percept import AssemblyWatcher, View
from .phases import (
    ALIGN,
    CARRY,
    CLOSE,
    DESCEND,
    GRIP,
    HOVER,
    LIFT,
    LOOSEN,
    LOWER,
    REACH,
    RELEASE,
    RETREAT,
    RISE,
    SINK,
    SPEED,
    TURN,
)


class AssemblyExpert(AssemblyWatcher):
    """Makes the joints of ``env.assembly`` one after the other, watching the parts at every tick.

    A lying part is taken with an inclined gripper, raised, and stood up by a quarter turn; a standing one is taken from
    above. Held parts are corrected by what is seen of them until their axes agree with those of their places. What is
    lost is taken again, what does not go in is lifted and tried again a little beside.

    The strategies turn screws by about a quarter or about half a revolution per grip.
    """

    strategies = ("quarter", "half")

    ACTION_NOISE = 0.1

    HOVER_DISTANCE = 0.06
    """Of the tool from the grasp before the approach [m]."""

    RETREAT_DISTANCE = 0.08
    """How far the opened gripper withdraws from a part that it has brought [m]."""

    RISE_HEIGHT = 0.045
    """How far the opened gripper rises from a screw between two turns [m]."""

    PRESS = 0.001
    """How far below itself the tool aims while it turns a screw, lest it pulls the screw out [m]."""

    TRAVEL_HEIGHT = 0.18
    """Least height of the empty tool far from its next grasp [m]."""

    CLOSE_TICKS = 8
    """Control ticks given to the gripper for closing."""

    OPEN_TICKS = 3
    """Control ticks given to the gripper for opening."""

    STEADY_TICKS = 8
    """Control ticks for which the open gripper waits around a part before it closes, and for which a part is held above
    its place before it is lowered, and in it before it is let go.

    As long as a chunk: a policy that plays its chunks blindly then sees that all is right before it goes on.
    """

    BLOCKED_TICKS = 8
    """Control ticks of lowering without getting deeper after which a part that is not in is lifted again."""

    LIFT_HEIGHT = 0.1
    """How far a part is raised before it is carried [m]."""

    CARRY_HEIGHT = 0.1
    """Least height of a carried part's lower end above the table [m]."""

    START_YAW = math.radians(85)
    """Largest yaw at which a screw is gripped; turns end at its negative."""

    LOST = 0.04
    """Distance between the tool and the grasp at which the part was lost [m]."""

    GRASP_ERROR = 0.006
    """Standard deviation of grasps along a lying part, at quality 0 [m]."""

    AIM_ERROR = 0.08
    """Standard deviation of where a part is first held above its place, at quality 0 [m]; it is corrected there."""

    HASTY_ERROR = 0.02
    """The same of hasty attempts [m], which lower the part as it is, miss, and try again."""

    HASTE_PROBABILITY = 0.5
    """Share of hasty attempts, at quality 0."""

    LEAN_ERROR = 0.6
    """Standard deviation of how far a part leans to either side above its place, at quality 0 [rad]."""

    AIM_DECAY = 0.85
    """Share of the error that is left after each control tick above the place, in careful attempts."""

    SLIP_PROBABILITY = 0.01
    """Chance per control tick of carrying to open the gripper, at quality 0."""

    def __init__(self, env: ManagerBasedEnv, quality: float = 1.0, seed: int = 0):
        super().__init__(env, quality, seed)
        self._speed = torch.tensor([SPEED[phase] for phase in range(len(SPEED))], device=self.device)
        count = self.num_envs
        self._leave_pos = torch.zeros(count, 3, device=self.device)
        self._leave_quat = torch.zeros(count, 4, device=self.device)
        self._steady = torch.zeros(count, dtype=torch.long, device=self.device)
        self._deepest = torch.zeros(count, device=self.device)
        self._stalled = torch.zeros(count, dtype=torch.long, device=self.device)
        self._end_yaw = torch.zeros(count, device=self.device)
        self._start_yaw = torch.zeros(count, device=self.device)
        self._aim = torch.zeros(count, 2, device=self.device)
        self._hasty = torch.zeros(count, dtype=torch.bool, device=self.device)
        self.reset()

    def reset(self, env_ids: Sequence[int] | torch.Tensor | slice | None = None) -> None:
        """Start new episodes."""
        super().reset(env_ids)
        env_ids = slice(None) if env_ids is None else env_ids
        self._aim_at(torch.zeros_like(self.ticks, dtype=torch.bool).index_fill(0, self._rows[env_ids], True))
        self._slide[env_ids] = (self.GRASP_ERROR * self.imperfection * self.randn(self.num_envs))[env_ids]

    def pace(self) -> torch.Tensor:
        """Speed of the phase in units of the fastest one's, shape (E, 1): who moves slowly is precise (Fitts, 1954)."""
        steps = self._speed[:, :1]
        return (steps / steps.max())[self.phase]

    def targets(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Advance the phases and return the wanted pose of the tool and whether the gripper is open."""
        view = self._look()
        self._advance(view)
        pos, quat = self._goal(view)
        speed = self._speed[self.phase]  # (E, 2)
        pos, quat = step_towards(view.tool_pos, view.tool_quat, pos, quat, speed[:, :1], speed[:, 1])
        phase = self.phase
        is_open = (phase < CLOSE) | ((phase >= RELEASE) & (phase <= SINK)) | (phase >= LOOSEN)
        careless = self.rand(self.num_envs) < self.SLIP_PROBABILITY * self.imperfection
        return pos, quat, is_open | (careless & (phase >= LIFT) & (phase < LOWER))

    def _goal(self, view: View) -> tuple[torch.Tensor, torch.Tensor]:
        """Pose to which the phase leads the tool, shapes (E, 3) and (E, 4)."""
        phase = self.phase
        pos, quat = self._grasp_pos, self._grasp_quat

        hover = self._hover_pos()
        far = (view.tool_pos[:, :2] - hover[:, :2]).norm(dim=1) > 0.08
        hover[:, 2] = torch.where(far, hover[:, 2].clamp(min=self.TRAVEL_HEIGHT), hover[:, 2])
        pos = torch.where((phase == HOVER).unsqueeze(1), hover, pos)

        holds = ((phase >= CARRY) & (phase <= LOWER)).unsqueeze(1)
        held_pos, held_quat = self._held(view)
        pos, quat = torch.where(holds, held_pos, pos), torch.where(holds, held_quat, quat)

        spins = (phase >= REACH).unsqueeze(1)
        top = view.part_pos + self._grasp[view.part].unsqueeze(1) * view.axis
        above = top + (phase[:, None] == REACH) * self.HOVER_DISTANCE * self._up
        above[:, 2] = torch.where(phase == TURN, view.tool_pos[:, 2] - self.PRESS, above[:, 2])
        yaw = torch.where(phase >= TURN, self._end_yaw, self._start_yaw)
        pos, quat = torch.where(spins, above, pos), torch.where(spins, self.pointing_down(yaw), quat)

        leaves = ((phase == LIFT) | (phase == RELEASE) | (phase == RETREAT) | (phase >= LOOSEN)).unsqueeze(1)
        return torch.where(leaves, self._leave_pos, pos), torch.where(leaves, self._leave_quat, quat)

    def _held(self, view: View) -> tuple[torch.Tensor, torch.Tensor]:
        """Pose of the tool that brings the held part where it shall be, however it lies in the gripper."""
        phase, depth = self.phase, view.depth
        free = self._free_height(view)
        height = torch.where(
            phase == CARRY, free + 0.03, torch.where(phase == ALIGN, free, -self._seat_depth[view.joint])
        )
        height = torch.where(phase == LOWER, torch.maximum(height, -depth - 0.015), height)
        tip = view.place_pos + height.unsqueeze(1) * view.place_axis
        tip[:, :2] += self._aim
        quat = quat_mul(shortest_arc(view.axis, view.aim_axis), view.part_quat)
        pos = tip - quat_apply(quat, self._part_frame[view.joint, :3])
        # far from the place, or still inclined, the part stays high
        high = (phase == CARRY) & ((view.off_axis.norm(dim=1) > 0.04) | (view.astray > 0.2))
        lowest = self.CARRY_HEIGHT - self._part_frame[view.joint, 2]
        pos[:, 2] = torch.where(high, torch.maximum(pos[:, 2], lowest), pos[:, 2])
        in_hand = subtract_frame_transforms(view.part_pos, view.part_quat, view.tool_pos, view.tool_quat)
        return combine_frame_transforms(pos, quat, *in_hand)

    def _advance(self, view: View) -> None:
        """Let each environment go on to its next phase."""
        self.ticks += 1
        tool_pos, tool_quat, engaged, screw = view.tool_pos, view.tool_quat, view.engaged, self._is_screw[view.joint]

        # taking the part
        self.enter((self.phase == HOVER) & engaged, REACH)
        ready = ((tool_pos - self._hover_pos()).norm(dim=1) < 0.015) & (angle(tool_quat, self._grasp_quat) < 0.1)
        self.enter((self.phase == HOVER) & ready, DESCEND)
        arrived = (self.phase == DESCEND) & ((tool_pos - self._grasp_pos).norm(dim=1) < 0.006)
        waited = (self._steady > self.STEADY_TICKS) | (self.ticks > 20)
        self.enter((self.phase == DESCEND) & waited, CLOSE)
        closed = (self.phase == CLOSE) & (self.ticks > self.CLOSE_TICKS)
        self._leave(closed, tool_pos + self.LIFT_HEIGHT * self._up, self._grasp_quat)
        self.enter(closed, LIFT)

        # bringing it to its place
        raised = (tool_pos[:, 2] > self._leave_pos[:, 2] - 0.01) | (self.ticks > 12)
        self.enter((self.phase == LIFT) & raised, CARRY)
        off = (view.off_axis[:, :2] - self._aim).norm(dim=1)
        self.enter((self.phase == CARRY) & (off < 0.01) & (view.astray < 0.1), ALIGN)
        near = (off < 0.0015) & (view.tilt < 0.02) & ((view.depth + self._free_height(view)).abs() < 0.006)
        seated = torch.where(screw, engaged, (view.depth - self._depth[view.joint]).abs() < 0.001)
        around = (self.phase == SINK) & ((tool_pos - view.grasp_pos).norm(dim=1) < 0.005)
        right = arrived | ((self.phase == ALIGN) & near) | ((self.phase == LOWER) & seated) | around
        self._steady = torch.where(right, self._steady + 1, 0)
        steady = self._steady > torch.where(self._hasty & (self.phase == ALIGN), 0, self.STEADY_TICKS)
        corrects = (self.phase == ALIGN) & ~self._hasty
        decay = torch.where(corrects, self.AIM_DECAY, 1.0).unsqueeze(1)
        self._aim, self._lean = decay * self._aim, decay * self._lean
        let_go = (self.phase == LOWER) & steady
        self.enter((self.phase == ALIGN) & (steady | (self.ticks > 40)), LOWER)
        lowers = self.phase == LOWER
        sinks = lowers & (view.depth > self._deepest + 5e-4)
        self._deepest = torch.where(sinks, view.depth, torch.where(lowers, self._deepest, -math.inf))
        self._stalled = torch.where(lowers & ~sinks, self._stalled + 1, 0)
        blocked = lowers & ~seated & (self._stalled > self.BLOCKED_TICKS)
        self._aim_at(blocked)
        self.enter(blocked, CARRY)

        # letting it go
        self._leave(let_go, tool_pos, tool_quat)
        self.enter(let_go, RELEASE)
        released = (self.phase == RELEASE) & (self.ticks > self.OPEN_TICKS)
        self._leave(released, tool_pos - self.RETREAT_DISTANCE * approach(self._leave_quat), self._leave_quat)
        self.enter(released, RETREAT)
        away = (self.phase == RETREAT) & (((tool_pos - self._leave_pos).norm(dim=1) < 0.02) | (self.ticks > 8))
        again = away & ~(screw & engaged)
        self._aim_at(again)
        self.enter(again, HOVER)
        self.enter(away & ~again, REACH)

        # gripping a screw from above and turning it
        choosing = (self.phase == REACH) & (self.ticks <= 1)
        self._start_yaw = torch.where(choosing, yaw_near(view.yaw, self.START_YAW), self._start_yaw)
        quarter = self._start_yaw - math.pi / 2
        self._end_yaw = torch.where(choosing, torch.where(self.strategy == 0, quarter, -self.START_YAW), self._end_yaw)
        # out of the arm's reach: begin a quarter turn earlier
        late = (self.phase == REACH) & (self.ticks > 45)
        self._start_yaw = torch.where(late, self._start_yaw - math.pi / 2, self._start_yaw)
        self.ticks = torch.where(late, 2, self.ticks)
        over = (tool_pos[:, :2] - view.grasp_pos[:, :2]).norm(dim=1) < 0.004
        straight = angle(tool_quat, self.pointing_down(self._start_yaw)) < 0.04
        self.enter((self.phase == REACH) & over & straight, SINK)
        self.enter((self.phase == SINK) & ((self._steady > self.STEADY_TICKS) | (self.ticks > 22)), GRIP)
        self.enter((self.phase == GRIP) & (self.ticks > self.CLOSE_TICKS), TURN)
        turned = (angle(tool_quat, self.pointing_down(self._end_yaw)) < 0.05) | (self.ticks > 25)
        loosens = (self.phase == TURN) & (turned | ~engaged)  # the next joint is not engaged: this one is done
        self._leave(loosens, tool_pos, tool_quat)
        self.enter(loosens, LOOSEN)
        rises = (self.phase == LOOSEN) & (self.ticks > self.OPEN_TICKS)
        self._leave(rises, tool_pos + self.RISE_HEIGHT * self._up, self._leave_quat)
        self.enter(rises, RISE)
        risen = (self.phase == RISE) & (((tool_pos - self._leave_pos).norm(dim=1) < 0.01) | (self.ticks > 6))
        self.enter(risen, REACH)

        # what went wrong
        held = (self.phase >= LIFT) & (self.phase <= LOWER)
        self.enter(held & ((tool_pos - view.grasp_pos).norm(dim=1) > self.LOST), HOVER)
        self.enter((self.phase >= REACH) & (self.phase <= GRIP) & ~engaged, HOVER)

    def _leave(self, mask: torch.Tensor, pos: torch.Tensor, quat: torch.Tensor) -> None:
        """Let the masked environments keep a pose for phases that only hold or withdraw."""
        self._leave_pos = torch.where(mask.unsqueeze(1), pos, self._leave_pos)
        self._leave_quat = torch.where(mask.unsqueeze(1), quat, self._leave_quat)

    def _hover_pos(self) -> torch.Tensor:
        """Where the tool waits before it descends to the grasp, shape (E, 3)."""
        return self._grasp_pos - self.HOVER_DISTANCE * approach(self._grasp_quat)

    def _aim_at(self, mask: torch.Tensor) -> None:
        """Draw the error with which the masked environments (E,) bring a part above its place, and who overlooks it."""
        mask = mask.unsqueeze(1)
        hasty = self.rand(self.num_envs, 1) < self.HASTE_PROBABILITY * self.imperfection
        aim = torch.where(hasty, self.HASTY_ERROR, self.AIM_ERROR) * self.imperfection * self.randn(self.num_envs, 2)
        lean = torch.where(hasty, 0.0, self.LEAN_ERROR) * self.imperfection * self.randn(self.num_envs, 3)
        self._hasty = torch.where(mask, hasty, self._hasty.unsqueeze(1)).squeeze(1)
        self._aim, self._lean = torch.where(mask, aim, self._aim), torch.where(mask, lean, self._lean)
