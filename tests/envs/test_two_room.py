"""TwoRoom: walls, door, speed and threshold as published, and data that cross the door."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import envs
from envs.two_room import CANVAS, DOOR_HIGH, DOOR_LOW, HIGH, LEFT, LOW, RIGHT, SPEED

WORLD = envs.load("two_room")


def step(x, y, *action, times=1):
    states = np.array([[x, y]], float)
    for _ in range(times):
        states = WORLD.step(states, np.array([action], float))
    return states[0].tolist()


def crossings(states):
    """states (T, n, 2) -> how often each of the n changed rooms."""
    return np.sum(np.diff(states[..., 0] > 112, axis=0), axis=0)


def wander(n, steps, seed=0):
    rng = np.random.default_rng(seed)
    states = [WORLD.sample(n, rng)]
    policy = WORLD.policy(n, rng)
    for _ in range(steps):
        states.append(WORLD.step(states[-1], policy.act(states[-1])))
    return np.stack(states)


def test_the_geometry_is_the_published_one():
    # Border 14 and wall 112 +- 5, both kept away from by the radius 7; the door at 49 +- 14.
    assert (LOW, HIGH, LEFT, RIGHT, DOOR_LOW, DOOR_HIGH) == (21, 203, 100, 124, 35, 63)


def test_full_speed_is_five_units_per_axis():
    assert step(50, 100, 1, -1) == [55, 95]
    assert step(50, 100, 0.2, 7) == [51, 105]


@pytest.mark.parametrize(
    ("start", "action", "end"),
    [
        ((60, 150), (1, 0), [100, 150]),
        ((160, 150), (-1, 0), [124, 150]),
        ((60, 150), (-1, 1), [21, 203]),
        ((160, 60), (1, -1), [203, 21]),
        ((112, 49), (0, 1), [112, 63]),
        ((112, 49), (0, -1), [112, 35]),
    ],
)
def test_pushing_for_long_ends_exactly_at_what_is_in_the_way(start, action, end):
    assert step(*start, *action, times=60) == end


def test_the_door_can_be_passed_both_ways():
    assert step(90, 49, 1, 0, times=10) == [140, 49]
    assert step(130, 35, -1, 0, times=10) == [80, 35]
    assert step(130, 63, -1, 0, times=10) == [80, 63]


def test_a_hair_beside_the_door_it_cannot():
    assert step(90, 34.999, 1, 0, times=10) == [100, 34.999]
    assert step(130, 63.001, -1, 0, times=10) == [124, 63.001]


def test_a_blocked_move_slides_along_what_it_touches():
    assert step(98, 150, 1, 1) == [100, 155]
    assert step(126, 150, -1, -1) == [124, 145]
    assert step(110, 60, 1, 1) == [115, 63]


def test_a_corner_is_decided_by_where_the_path_meets_it():
    # From (98, 33) to (103, 38) the slab is reached at y = 35, the door's edge: through. From y = 32.9 it is not.
    assert step(98, 33, 1, 1) == [103, 38]
    assert step(98, 32.9, 1, 1) == [100, 37.9]
    # Out of the door: at x = 124 the path from (122, 36) is at y = 34, inside the wall, and that from (122, 38) is not.
    assert step(122, 36, 1, -1) == [127, 35]
    assert step(122, 38, 1, -1) == [127, 33]


coordinates = st.floats(LOW, HIGH)
components = st.floats(-1, 1)


@given(coordinates, coordinates, components, components)
def test_a_move_is_hindered_only_by_what_is_on_its_way_and_then_always(x, y, dx, dy):
    start = np.array([[x, y]])
    if not WORLD.contains(start)[0]:
        start[0, 0] = 124 + (x - 100)
    wish = start + SPEED * np.array([[dx, dy]])
    end = WORLD.step(start, np.array([[dx, dy]]))
    path = start + np.linspace(0, 1, 200)[:, None] * (wish - start)
    corners = np.array([[a, b] for a in (start[0, 0], wish[0, 0]) for b in (start[0, 1], wish[0, 1])])
    if not WORLD.contains(path).all():
        assert not np.array_equal(end, wish)
    elif WORLD.contains(corners).all():
        assert np.array_equal(end, wish)
    assert WORLD.contains(end)[0]


def test_success_is_a_distance_under_sixteen():
    here = np.array([[50.0, 50.0]])
    assert WORLD.solved(here, here + np.array([15.99, 0]))[0]
    assert not WORLD.solved(here, here + np.array([16, 0]))[0]
    assert WORLD.distance(here, here + np.array([3, 4]))[0] == 5


def test_the_recorded_episodes_visit_both_rooms_about_once_each():
    states = wander(500, WORLD.episode_steps)
    crossed = crossings(states)
    starts, goals = states[:-25].reshape(-1, 2), states[25:].reshape(-1, 2)
    assert 0.85 < crossed.mean() < 1.1
    assert 0.7 < (crossed > 0).mean() < 0.85
    assert 0.2 < np.mean((starts[:, 0] > 112) != (goals[:, 0] > 112)) < 0.28
    assert 0.04 < WORLD.solved(starts, goals).mean() < 0.09
    # The corners are not left out: of 6 x 6 cells, theirs get at least a tenth of an even share each.
    visits, *_ = np.histogram2d(*states.reshape(-1, 2).T, bins=6, range=[[LOW, HIGH]] * 2)
    assert visits[[0, 0, -1, -1], [0, -1, 0, -1]].min() > 0.1 * visits.mean()


def test_the_card_says_how_many_episodes_cross_the_door():
    found = WORLD.coverage(wander(200, 100).swapaxes(0, 1))
    assert 0.7 < found["share of episodes that cross the door"] < 0.85
    assert 0.15 < found["share of goals 25 steps ahead that lie in the other room"] < 0.3
    assert 0.02 < found["share of goals 25 steps ahead that are solved already"] < 0.1
    still = np.full((3, 4, 2), 50.0)
    assert WORLD.coverage(still) == {"share of episodes that cross the door": 0.0}


def test_one_episode_does_not_change_the_goals_of_another():
    a, b = (WORLD.policy(2, np.random.default_rng(0)) for _ in range(2))
    states = np.array([[50.0, 50.0], [60.0, 160.0]])
    moved = states.copy()
    for _ in range(50):
        acted = a.act(states)[1]
        assert np.array_equal(acted, b.act(moved)[1])
        moved[0] = WORLD.sample(1, np.random.default_rng(int(moved[0, 0])))[0]


def test_the_rooms_are_drawn_where_they_are():
    picture = WORLD.render(np.array([[60.5, 120.5]]), 224)[0]
    assert (picture[80:200, 107:117] == 0).all()
    assert (picture[80:200, 117:190] == 255).all()
    assert (picture[35:63, 105:120] == 255).all()
    assert (picture[14:35, 107:117] == 0).all()
    for line in (picture[10:14, 10:214], picture[210:214, 10:214], picture[10:214, 10:14], picture[10:214, 210:214]):
        assert (line == 0).all()
    assert (picture[:10] == 255).all()
    assert (picture[:, 214:] == 255).all()


def test_the_dot_is_a_red_gaussian_of_standard_deviation_seven():
    picture = WORLD.render(np.array([[60.5, 120.5]]), 224)[0]
    assert picture[120, 60].tolist() == [255, 0, 0]
    # 255 (1 - exp(-1/2)) = 100.3 and 255 (1 - exp(-2)) = 220.5
    assert picture[120, 67].tolist() == [255, 100, 100]
    assert picture[134, 60, 0] == 255
    assert picture[134, 60, 1] in (220, 221)


@pytest.mark.parametrize("size", [16, 64, 100])
def test_the_window_changes_nothing_that_drawing_whole_pictures_would_not(size):
    states = np.concatenate([WORLD.sample(20, np.random.default_rng(0)), [[LOW, LOW], [HIGH, HIGH], [112, 35]]])
    pictures = WORLD.render(states, size).astype(float)
    far = WORLD.render(np.array([[HIGH, HIGH]]), size)[0], WORLD.render(np.array([[LOW, LOW]]), size)[0]
    rooms = np.where(np.arange(size)[:, None, None] < size // 2, *far).astype(float)
    middle = (np.arange(size) + 0.5) * CANVAS / size
    blob = np.exp(-0.5 * ((middle - states[..., None]) / 7) ** 2)
    alpha = (blob[:, 1, :, None] * blob[:, 0, None, :])[..., None]
    assert np.abs(pictures - (rooms * (1 - alpha) + alpha * [255, 0, 0])).max() <= 1


@pytest.mark.parametrize("size", [16, 64, 128, 224])
def test_the_dot_is_at_the_same_place_at_every_size(size):
    states = WORLD.sample(50, np.random.default_rng(0))
    pictures = WORLD.render(states, size).astype(float)
    red = pictures[..., 0] - pictures[..., 1]
    middle = (np.arange(size) + 0.5) * CANVAS / size
    x, y = red.sum(1) @ middle, red.sum(2) @ middle
    away = np.abs(states[:, 0] - 112) > 30
    found = (np.stack([x, y], axis=1) / red.sum((1, 2))[:, None])[away]
    inside = np.all((states[away] > 40) & (states[away] < 184), axis=1)
    assert np.abs(found - states[away])[inside].max() < 0.5
