"""The smallest study that shows what there is to show: settings of a trial of seconds, by path."""

SMALL = {
    "data.image_size": 32,
    "data.episodes": 8,
    "data.held_out": 6,
    "data.steps": 50,
    "projector.dim": 16,
    "projector.width": 32,
    "optim.batch": 16,
    "planner.samples": 16,
    "planner.iterations": 2,
    "planner.elites": 4,
    "protocol.tasks": 10,
    "protocol.chunk": 4,
    "measures.probe_r2.fit": 200,
    "measures.probe_r2.score": 100,
    "measures.latent_spectrum.frames": 200,
    "measures.rollout_error.clips": 40,
}
SMALLEST = SMALL | {"encoder.channels": 4, "encoder.features": 32, "optim.steps": 12}
