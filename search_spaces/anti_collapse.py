"""What keeps a latent world model from collapsing: nothing, the inverse term, or SIGReg?  (SMWM, main result)

Published: success over 5 training seeds, 100 tasks each, solved starts counted, so that random actions succeed in 0.300
of TwoRoom's tasks, 0.136 of Reacher's, 0.028 of Push-T's and 0.430 of Cube's.
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
    published={
        ("two_room", "paper"): {"forward_only": 0.346, "smwm": 1.000, "lewm": 0.926},
        ("reacher", "paper"): {"forward_only": 0.098, "smwm": 0.714, "lewm": 0.678},
        ("push_t", "paper"): {"forward_only": 0.026, "smwm": 0.844, "lewm": 0.888},
        ("cube", "paper"): {"forward_only": 0.468, "smwm": 0.830, "lewm": 0.600},
    },
    source="arXiv:2606.20104, authors' code, 5 seeds, solved starts counted",
)
