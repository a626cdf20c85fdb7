"""Does the projector need its BatchNorm?  (LeWM says so; an ablation that it does not have)

LeWM puts a projector with BatchNorm after the encoder, whose last LayerNorm would keep the latent from a normal
distribution, and again after the predictor. SMWM took it over. The scale local has no LayerNorm in its encoder.
"""

from search_spaces._sweep import Sweep, levels

SWEEP = Sweep(
    question="Does planning success depend on the projector's BatchNorm?",
    base="lewm",
    worlds={"local": "two_room", "gpu": "two_room", "paper": "two_room"},
    arms=levels("projector.norm", ("batch", "none")),
    baseline="batch",
    seeds=range(3),
    primary="success_rate",
    margin=0.05,
)
