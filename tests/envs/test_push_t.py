"""Push-T: scene, control and success as published, a step that remembers nothing, and data that push the block."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pymunk
import pytest

import envs
from envs import _push_t_physics as physics
from envs.push_t import ALIGNED, GOAL_OVERLAY, REACHED

WORLD = envs.load("push_t")
FAR = (60.0, 460.0)  # an agent out of the way of a block in the middle


def state(agent=FAR, block=(256.0, 256.0), angle=0.0, velocity=(0.0, 0.0)):
    return np.array([[*agent, *block, angle, *velocity]])


def step(states, *action, times=1, world=WORLD):
    for _ in range(times):
        states = world.step(states, np.tile(np.array(action, float), (len(states), 1)))
    return states


def episodes(n, steps, seed=0, world=WORLD):
    """States (n, steps + 1, S) and actions (n, steps, 2) of the policy."""
    rng = np.random.default_rng(seed)
    states, actions = [world.sample(n, rng)], []
    policy = world.policy(n, rng)
    for _ in range(steps):
        actions.append(policy.act(states[-1]))
        states.append(world.step(states[-1], actions[-1]))
    return np.stack(states, axis=1), np.stack(actions, axis=1)


@pytest.fixture(scope="module")
def recorded():
    return episodes(64, 100)


def clearance(states, world=WORLD):
    """states (n, S) -> (n,) from the agent's centre to the outline of the block."""
    return world.physics.clearance(states, states[:, None, :2])[:, 0]


def test_the_scene_is_the_published_one():
    assert (physics.CANVAS, physics.RADIUS, physics.INNER_LOW, physics.INNER_HIGH) == (512, 15, 7, 504)
    bar_and_stem = [[-60, 0], [60, 0], [60, 30], [15, 30], [15, 120], [-15, 120], [-15, 30], [-60, 30]]
    assert (physics.CORNERS * physics.SCALE).tolist() == bar_and_stem
    assert list(GOAL_OVERLAY) == pytest.approx([256, 256, np.pi / 4])
    assert (WORLD.frameskip, WORLD.goal_offset, WORLD.budget, WORLD.episode_steps) == (5, 25, 50, 100)


def test_the_block_is_the_published_body():
    space, agent, block = WORLD.physics._space()
    assert (space.damping, agent.body_type) == (0, pymunk.Body.KINEMATIC)
    # The moment is that of two bars, 2 ((120^2 + 30^2) / 12 + 15^2); the centre of gravity is midway between the boxes.
    assert (block.mass, block.moment) == (1, 3000)
    assert tuple(block.center_of_gravity) == (0, 45)


def test_control_and_success_are_the_published_ones():
    assert (physics.REACH, physics.TARGET_LOW, physics.TARGET_HIGH) == (100, 20, 492)
    assert (physics.K_P, physics.K_V, physics.SUBSTEPS, physics.DT) == (100, 20, 10, 0.01)
    assert (20, np.pi / 9) == (REACHED, ALIGNED)


def test_the_agent_heads_for_its_target_as_a_damped_spring():
    # Per hundredth of a second: v' = v + (100 (50 - x) - 20 v) / 100, x' = x + v' / 100; so 0.5, 1.395, ...
    first = step(state(), 0.5, 0)[0]
    x, v = 0.0, 0.0
    for _ in range(10):
        v = 0.8 * v + 50 - x
        x += v / 100
    assert first[[0, 1, 5, 6]] == pytest.approx([FAR[0] + x, FAR[1], v, 0])
    assert x == pytest.approx(14.7836, abs=1e-4)
    # An action of nothing means to come to rest here.
    stopped = step(first[None], 0, 0, times=20)[0]
    assert np.abs(stopped[5:7]).max() < 1e-3


def test_the_agent_keeps_inside_the_walls_however_it_is_driven():
    assert step(state(), 1, -1, times=30)[0, :2] == pytest.approx([492, 20], abs=1e-3)
    rng = np.random.default_rng(0)
    states = WORLD.sample(100, rng)
    for _ in range(60):
        states = WORLD.step(states, rng.choice([-1.0, 1.0], (100, 2)))
        assert np.all((states[:, :2] >= 20) & (states[:, :2] <= 492))


def test_a_block_that_nothing_touches_keeps_its_pose_to_the_bit():
    states, _ = episodes(32, 20)
    before, after = states[:, :-1].reshape(-1, 7), states[:, 1:].reshape(-1, 7)
    alone = clearance(before) > 60  # the agent comes at most 43 units far
    assert 50 < alone.sum() < 600
    assert np.array_equal(before[alone, 2:5], after[alone, 2:5])


def test_pushing_the_middle_of_the_bar_moves_the_block_straight_on():
    states = step(state(agent=(256, 230)), 0, 0.2, times=10)[0]
    assert states[1] > 300
    # The agent touches the bar's outer edge at y = 256.
    assert states[3] - states[1] == pytest.approx(15, abs=1.0)
    assert states[[2, 4]] == pytest.approx([256, 0], abs=1e-6)
    assert states[5:7] == pytest.approx([0, 74.34], abs=0.01)


@pytest.mark.parametrize(("y", "turn"), [(45, 0), (60, -0.12), (100, -0.25)])
def test_pushing_the_stem_turns_the_block_by_how_far_from_its_centre_of_gravity(y, turn):
    angle = step(state(agent=(215, 256 + y)), 0.2, 0, times=5)[0, 4]
    assert (angle + np.pi) % (2 * np.pi) - np.pi == pytest.approx(turn, abs=0.01)


@pytest.mark.parametrize(("x", "sign"), [(206, -1), (306, 1)])
def test_pushing_one_end_of_the_bar_turns_the_block_towards_it(x, sign):
    angle = step(state(agent=(x, 230)), 0, 0.2, times=5)[0, 4]
    assert 0.2 < sign * ((angle + np.pi) % (2 * np.pi) - np.pi) < 1.5


def test_the_agent_hardly_goes_into_a_block_that_can_give_way(recorded):
    states = recorded[0].reshape(-1, 7)
    into = 15 - clearance(states)
    assert np.mean(into > 3) < 0.02
    # Full speed, in the middle of the canvas:
    states = state(agent=(256, 100), block=(256, 200))
    for _ in range(6):
        states = step(states, 0, 1)
        assert clearance(states)[0] > 14


def test_a_block_pushed_into_a_wall_stays_inside():
    for corner, action in [((256, 150), (0, -1)), ((150, 256), (-1, 0)), ((360, 256), (1, 0)), ((256, 350), (0, 1))]:
        agent = np.array(corner) - 150 * np.array(action)
        states = state(agent=agent, block=corner, angle=0.3)
        for _ in range(30):
            states = step(states, *action)
            assert WORLD.contains(states)[0]


def test_a_step_follows_from_the_state_alone(recorded):
    """Not from contacts of steps before, nor from the order or the thread in which states are stepped."""
    states, actions = recorded
    before, acted = states[:8, :-1].reshape(-1, 7), actions[:8].reshape(-1, 2)
    after = states[:8, 1:].reshape(-1, 7)
    order = np.random.default_rng(0).permutation(len(before))
    parts = np.array_split(order, 20)
    with ThreadPoolExecutor(4) as pool:
        stepped = list(pool.map(lambda part: WORLD.step(before[part], acted[part]), parts))
    assert np.array_equal(np.concatenate(stepped), after[order])


def test_the_state_is_all_that_matters_but_for_contact_impulses(recorded):
    """25 steps are those of one simulation that goes on, as published, seen after the block's last move."""
    states, actions = recorded
    away = np.linalg.norm([_going_on(states[i, 40], actions[i, 40:65]) - states[i, 65, 2:4] for i in range(64)], axis=1)
    moved = np.linalg.norm(states[:, 65, 2:4] - states[:, 40, 2:4], axis=1)
    assert np.median(moved) > 20
    assert np.median(away) < 0.01
    assert np.mean(away > 3) < 0.1


def _going_on(start, actions):
    """Where the block is after `actions`, in a space that is stepped on and on."""
    space, agent, block = WORLD.physics._space()
    agent.position, agent.velocity = tuple(start[:2]), tuple(start[5:7])
    block.angle = start[4]
    block.position = tuple(start[2:4])
    for action in actions:
        target = np.clip(np.array(agent.position) + 100 * action, 20, 492)
        for _ in range(10):
            pull = 100 * (target - agent.position) - 20 * np.array(agent.velocity)
            agent.velocity = tuple(agent.velocity + pull / 100)
            space.step(0.01)
    pymunk.Body.update_position(block, 0.01)
    return np.array(block.position)


def test_angles_are_kept_within_a_turn():
    assert physics.wrap(np.array([-1e-20, 2 * np.pi, -0.5, 7.0])) == pytest.approx(
        [0, 0, 2 * np.pi - 0.5, 7 - 2 * np.pi]
    )
    assert physics.wrap(np.array([-1e-20]))[0] < 2 * np.pi
    turned = step(state(agent=(206, 230)), 0, 0.2, times=5)  # from 0 downwards
    assert 3 < turned[0, 4] < 2 * np.pi
    assert WORLD.contains(turned)[0]


@pytest.mark.parametrize(
    ("change", "solved"),
    [
        ([9.99, 9.99, 9.99, 9.99, 0.34, 50, 50], True),
        ([10, 10, 10, 10, 0, 0, 0], False),  # together 20
        ([0, 0, 19.99, 0, 0, 0, 0], True),
        ([19.99, 0, 0, 1, 0, 0, 0], False),
        ([0, 0, 0, 0, np.pi / 9 - 1e-6, 0, 0], True),
        ([0, 0, 0, 0, np.pi / 9 + 1e-6, 0, 0], False),
        ([0, 0, 0, 0, 2 * np.pi - 0.34, 0, 0], True),  # across zero
        ([0, 0, 0, 0, 2 * np.pi - 0.36, 0, 0], False),
        ([0, 0, 0, 0, np.pi, 0, 0], False),
    ],
)
def test_success_asks_for_agent_block_and_angle(change, solved):
    here, goal = state(), state() + np.array([change])
    assert WORLD.solved(here, goal)[0] == WORLD.solved(goal, here)[0] == solved


def test_the_distance_is_over_agent_and_block_together():
    goal = state() + np.array([[1, 2, 2, 4, 3, 100, 100]])
    assert WORLD.distance(state(), goal)[0] == 5


@pytest.mark.parametrize(
    "change",
    [
        {"agent": (3, 256)},
        {"agent": (np.nan, 256)},
        {"block": (60, 256)},
        {"block": (256, 400)},
        {"angle": -0.1},
        {"angle": 6.3},
        {"velocity": (0, 500)},
    ],
)
def test_states_that_cannot_be_are_told(change):
    assert WORLD.contains(state())[0]
    assert not WORLD.contains(state(**change))[0]


PLAIN = {"goal_overlay": False, "block_color": "black", "agent_color": "white"}


@pytest.mark.parametrize("size", [8, 16, 33, 64, 224])
def test_the_block_is_at_the_same_place_at_every_size(size):
    world = envs.load("push_t", PLAIN)
    states = world.sample(200, np.random.default_rng(0))
    states[:, :2] = 256
    # Of the outline and 2 units around it: bar 124 x 34 about y = 15, stem 34 x 90 about y = 77.
    centroid = np.array([0, (124 * 34 * 15 + 34 * 90 * 77) / (124 * 34 + 34 * 90)]) / physics.SCALE
    expected = world.physics.out_of_block(states, centroid[None])[:, 0]
    dark = 255 - world.render(states, size)[..., 0].astype(float)
    wall = int(np.ceil(8 * size / 512))
    dark[:, :wall] = dark[:, -wall:] = dark[:, :, :wall] = dark[:, :, -wall:] = 0
    middles = (np.arange(size) + 0.5) * 512 / size
    found = np.stack([dark.sum(1) @ middles, dark.sum(2) @ middles], axis=1) / dark.sum((1, 2))[:, None]
    clear = np.abs(expected - 256).max(axis=1) < 512 * (0.5 - 1 / size) - 100  # of the border
    clear &= np.abs(clearance(states)) > 30  # of the agent, which is drawn over it
    assert clear.sum() > 20 if size > 8 else True
    assert np.abs(found - expected)[clear].max(initial=0) < 0.5 * 512 / size


@pytest.mark.parametrize("size", [16, 64, 100])
@pytest.mark.parametrize("agent", ["white", "black"])
def test_pictures_are_what_many_samples_per_pixel_give(size, agent):
    """Wherever the block is, at an edge or half outside, and however it is turned."""
    world = envs.load("push_t", {**PLAIN, "agent_color": agent})
    states = world.sample(12, np.random.default_rng(1))
    states[:6, 2:4] = [[0, 0], [512, 512], [500, 40], [10, 300], [256, 505], [-20, 256]]
    fine = (np.arange(10 * size) + 0.5) * 51.2 / size
    points = np.stack(np.meshgrid(fine, fine), axis=-1).reshape(1, -1, 2)
    dark = world.physics.clearance(states, points) < 2
    disc = np.linalg.norm(points - states[:, None, :2], axis=2) < 15
    dark = np.where(disc, agent == "black", dark)
    expected = dark.reshape(12, size, 10, size, 10).mean(axis=(2, 4))
    found = 1 - world.render(states, size)[..., 0] / 255.0
    inside = slice(1, -1)  # off the walls
    difference = (found - expected)[:, inside, inside]
    assert np.abs(difference).mean() < 0.01
    assert np.abs(difference).max() < 0.4


def test_the_colours_are_the_published_ones():
    picture = WORLD.render(state(agent=(100.5, 400.5), block=(400, 100)), 512)[0]
    assert picture[50, 50].tolist() == [255, 255, 255]
    assert picture[256, 5].tolist() == picture[505, 256].tolist() == [211, 211, 211]  # walls
    assert picture[400, 100].tolist() == [78, 126, 255]  # royal blue, lighter by a fifth
    assert picture[400, 100 + 13].tolist() == [65, 105, 225]
    assert picture[115, 400].tolist() == [143, 163, 184]  # light slate grey
    assert picture[99, 400].tolist() == [119, 136, 153]
    assert (picture[102:215, 400] == [143, 163, 184]).all()  # no seam between bar and stem
    assert picture[256 + 50, 256 - 50].tolist() == [144, 238, 144]  # the overlay's stem points down to the left


def test_the_overlay_never_moves_and_lies_under_everything():
    bare = envs.load("push_t", {"goal_overlay": False})
    states = WORLD.sample(50, np.random.default_rng(0))
    green, white = WORLD.render(states, 64), bare.render(states, 64)
    differs = (green != white).any(axis=(0, 3))
    assert 40 < differs.sum() < 200
    for x, y in [(256, 256), (256 - 60, 256 + 60)]:
        assert differs[y // 8, x // 8]
    small, small_bare = (envs.load("push_t", {"block_size": 0.5, "goal_overlay": shown}) for shown in (True, False))
    fewer = (small.render(states, 64) != small_bare.render(states, 64)).any(axis=(0, 3))
    assert 0.15 < fewer.sum() / differs.sum() < 0.6
    over = state(agent=(206, 306), block=(256, 256), angle=np.pi / 4)
    assert np.array_equal(WORLD.render(over, 64)[0, 38, 25], bare.render(over, 64)[0, 38, 25])


CHANGES = {
    "agent_color": "red",
    "block_color": "#123456",
    "background": "black",
    "goal_color": "pink",
    "goal_overlay": False,
    "agent_size": 1.4,
    "block_size": 0.7,
    "noise": 5.0,
}


@pytest.mark.parametrize(("name", "value"), CHANGES.items())
def test_every_option_changes_the_picture_and_only_some_what_happens(name, value):
    world = envs.load("push_t", {name: value})
    states, actions = episodes(8, 30)
    before, acted = states[:, :-1].reshape(-1, 7), actions.reshape(-1, 2)
    assert not np.array_equal(world.render(before[:4], 64), WORLD.render(before[:4], 64))
    same = np.array_equal(world.step(before, acted), WORLD.step(before, acted))
    assert same == (name not in world.Options.dynamics)


def test_every_option_is_tried():
    assert set(CHANGES) == set(WORLD.Options.model_fields)
    assert WORLD.Options.dynamics == {"agent_size", "block_size"}


@pytest.mark.parametrize("wrong", [{"block_size": 0.4}, {"agent_size": 1.6}, {"agent_color": "bleu"}, {"shape": "L"}])
def test_options_that_there_are_not_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        envs.load("push_t", wrong)


@pytest.mark.parametrize("agent_size", [0.5, 1.5])
@pytest.mark.parametrize("block_size", [0.5, 1.5])
def test_other_sizes_are_pushed_about_too(agent_size, block_size):
    world = envs.load("push_t", {"agent_size": agent_size, "block_size": block_size})
    states, _ = episodes(32, 50, world=world)
    assert world.contains(states.reshape(-1, 7)).all()
    assert clearance(states[:, 0], world).min() > 15 * agent_size
    assert world.coverage(states)["share of steps in which the block moves"] > 0.25


def test_the_recorded_episodes_move_the_block_everywhere_and_every_way(recorded):
    states, _ = recorded
    assert WORLD.contains(states.reshape(-1, 7)).all()
    numbers = WORLD.coverage(states)
    assert numbers["share of steps in which the block moves"] > 1 / 3
    assert numbers["the rarest of 12 orientations, relative to an even share"] > 1 / 4
    assert numbers["share of goals 25 steps ahead to which the block has to move"] > 0.85
    assert numbers["share of goals 25 steps ahead that are solved already"] < 0.05
    # The inner 4 x 4 of 6 x 6 cells get at least a third of an even share each, and the others are not left out.
    middles = WORLD.physics.out_of_block(states.reshape(-1, 7), physics.MIDDLE[None])[:, 0]
    visits, *_ = np.histogram2d(*middles.T, bins=6, range=[[7, 504]] * 2)
    assert visits[1:5, 1:5].min() > visits.mean() / 3
    assert 0.02 < 1 - visits[1:5, 1:5].sum() / visits.sum() < 0.3


def test_coverage_counts_what_it_says():
    still = np.tile(state(), (2, 51, 1))
    still[1, :, 4] = 3.0
    turning = still.copy()
    turning[1, 25:, 4] = 3.2
    moves, rarest, has_to_move, solved = WORLD.coverage(turning).values()
    assert moves == 1 / 100  # of the 2 x 50 steps one
    assert rarest == 0
    assert has_to_move == 25 / 52  # of the 2 x 26 starts those of the second episode that see it turn, but for the last
    assert solved == 1  # the turn is smaller than what counts
    assert len(WORLD.coverage(still[:, :20])) == 2  # too short for goals


def test_one_episode_does_not_change_the_random_numbers_of_another():
    a, b = (WORLD.policy(6, np.random.default_rng(0)) for _ in range(2))
    assert a.fidgets.any() and not a.fidgets.all()
    states = WORLD.sample(6, np.random.default_rng(1))
    others = states.copy()
    for turn in range(60):
        others[:3] = WORLD.sample(3, np.random.default_rng(turn))
        ours, theirs = a.act(states), b.act(others)
        assert np.array_equal(ours[3:], theirs[3:])
        assert not np.array_equal(ours[:3], theirs[:3])
        states = WORLD.step(states, ours)
        others[3:] = states[3:]


def test_public_states_are_read_with_their_angle_within_a_turn():
    public = np.array([[100, 200, 300, 250, 2.5, 10, -20], [100, 200, 300, 250, -0.5, 0, 0]], np.float32)
    states = WORLD.from_source({"state": public})
    assert WORLD.source_columns == ("state",)
    assert states.dtype == np.float64
    assert states == pytest.approx(np.vstack([public[:1], [[100, 200, 300, 250, 2 * np.pi - 0.5, 0, 0]]]))
    assert WORLD.contains(states).all()
    assert public[1, 4] == np.float32(-0.5)


def test_without_its_simulator_it_says_what_to_install_and_others_work():
    code = (
        "import sys; sys.modules['pymunk'] = None\n"
        "import envs; envs.load('two_room')\n"
        "try: envs.load('push_t')\n"
        "except ImportError as error: assert 'pymunk' in str(error) and 'install' in str(error)\n"
        "else: raise AssertionError"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
