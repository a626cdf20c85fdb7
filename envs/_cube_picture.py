"""How Cube looks: OGBench's scene for pictures, with coarser meshes and a floor that is quicker to draw."""

from copy import copy
from functools import partial

import numpy as np

from envs._mujoco import Camera, mujoco
from envs._options import rgb

CELL = 0.01  # m; of 193,000 triangles 8,000 are left
FLOOR = "#262e40"  # the lighter of the published tones
MIDDLE = np.array([0.425, 0.0, 0.0])  # of the table, which the camera turns about


def camera(model: mujoco.MjModel, options) -> Camera:
    """The published camera on the simulated model, which stays as it is."""
    return Camera("cube", "front_pixels", partial(_to_draw, model), partial(_dress, model, options))


def _to_draw(simulated):
    """A copy without the detail that no picture shows. A plane is drawn as thousands of triangles, a box as twelve."""
    model = copy(simulated)
    for mesh in range(model.nmesh):
        _coarsen(model, mesh)
    floor = model.geom("floor")
    floor.type[0], floor.size[2] = mujoco.mjtGeom.mjGEOM_BOX, 0.01
    floor.pos[2], floor.sameframe[0] = -floor.size[2], mujoco.mjtSameFrame.mjSAMEFRAME_NONE  # else `pos` is not read
    return model


def _coarsen(model, mesh):
    """Vertices of one cell of a grid become one, in their middle; triangles that have no area left go."""
    vertices = slice(model.mesh_vertadr[mesh], model.mesh_vertadr[mesh] + model.mesh_vertnum[mesh])
    places = model.mesh_vert[vertices]
    _, cells = np.unique(np.floor(places / CELL).astype(int), axis=0, return_inverse=True)
    cells = cells.ravel()
    sums = np.stack([np.bincount(cells, places[:, axis]) for axis in range(3)], axis=1)
    middles = sums / np.bincount(cells)[:, None]
    first = model.mesh_faceadr[mesh]
    corners = cells[model.mesh_face[first : first + model.mesh_facenum[mesh]]]
    apart = (corners != np.roll(corners, 1, axis=1)).all(axis=1)
    _, once = np.unique(np.sort(corners, axis=1), axis=0, return_index=True)
    kept = np.intersect1d(np.flatnonzero(apart), once)
    model.mesh_vert[vertices][: len(middles)] = middles
    model.mesh_face[first : first + len(kept)] = corners[kept]
    model.mesh_facenormal[first : first + len(kept)] = model.mesh_facenormal[first + kept]
    model.mesh_facenum[mesh] = len(kept)


def _dress(simulated, options, model):
    cube, arm = model.geom("object_0"), [model.mat(i).name.startswith("ur5e") for i in range(model.nmat)]
    cube.size[:] = options.cube_size
    cube.rgba[:3] = rgb(options.cube_color) / 255
    model.geom("target_object_0").rgba[3] = 0
    model.mat_rgba[arm, 3] = np.maximum(simulated.mat_rgba[arm, 3], options.arm_opacity)
    _light(simulated, model, options.light)
    _turn(simulated, model, np.radians(options.camera_azimuth), np.radians(options.camera_elevation))
    return [_paint_floor(simulated, model, options.floor_color)]


def _light(simulated, model, brightness):
    model.light_diffuse[:] = brightness * simulated.light_diffuse
    for part in ("ambient", "diffuse"):
        getattr(model.vis.headlight, part)[:] = brightness * getattr(simulated.vis.headlight, part)


def _turn(simulated, model, azimuth, elevation):
    """The camera goes round the middle of the table, first up and then to the side."""
    published, turned = simulated.camera("front_pixels"), model.camera("front_pixels")
    to_right = published.mat0.reshape(3, 3)[:, 0]
    turns = _rotation([0, 0, 1], azimuth), _rotation(to_right, -elevation)
    rotation = np.empty(4)
    mujoco.mju_mulQuat(rotation, *turns)
    mujoco.mju_mulQuat(turned.quat, rotation, published.quat)
    mujoco.mju_rotVecQuat(turned.pos, published.pos - MIDDLE, rotation)
    turned.pos[:] += MIDDLE


def _rotation(axis, angle):
    quaternion = np.empty(4)
    mujoco.mju_axisAngle2Quat(quaternion, np.asarray(axis, float), angle)
    return quaternion


def _paint_floor(simulated, model, color):
    """Every texel is as much lighter or darker than the colour as published -> the texture's number"""
    texture = simulated.tex("grid")
    pixels = slice(texture.adr[0], texture.adr[0] + 3 * texture.height[0] * texture.width[0])
    shifted = simulated.tex_data[pixels].reshape(-1, 3) + (rgb(color).astype(int) - rgb(FLOOR))
    model.tex_data[pixels] = np.clip(shifted, 0, 255).astype(np.uint8).ravel()
    return texture.id
