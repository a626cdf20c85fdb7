"""What keeps a latent world model from collapsing: nothing, the inverse term, or SIGReg?  (SMWM, main result)

Published: success on TwoRoom over 5 training seeds, 100 tasks each, solved starts counted (random actions: 0.300).
"""

from search_spaces._sweep import Sweep, methods

SWEEP = Sweep(
    question="Which objective keeps the latent from collapsing, so that planning works?",
    base="forward_only",
    worlds={"local": "two_room", "gpu": "two_room", "paper": "two_room"},
    arms=methods("forward_only", "smwm", "lewm"),
    baseline="forward_only",
    seeds=range(3),
    primary="success_rate",
    margin=0.05,
    published={("two_room", "paper"): {"forward_only": 0.346, "smwm": 1.000, "lewm": 0.926}},
    source="arXiv:2606.20104, authors' code, 5 seeds, solved starts counted (random actions there: 0.300)",
)
