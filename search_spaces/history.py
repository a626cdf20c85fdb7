"""Does it help to see more than one frame, in training and in planning alike?  (SMWM, its later history ablation)

Published: LeWM's success over 5 training seeds, goals 25 steps ahead, solved starts counted. Velocities, which one
frame does not show, matter on Reacher alone: try `--world reacher`, where MuJoCo can draw.
"""

from search_spaces._sweep import Sweep, levels

SWEEP = Sweep(
    question="Does planning success depend on how many frames the predictor sees?",
    base="lewm",
    worlds={"local": "two_room", "gpu": "two_room", "paper": "two_room"},
    arms=levels("history", (1, 2, 3)),
    baseline="1",
    published={
        ("two_room", "paper"): {"1": 0.928, "2": 0.914, "3": 0.868},
        ("reacher", "paper"): {"1": 0.644, "2": 0.948, "3": 0.946},
        ("push_t", "paper"): {"1": 0.890, "2": 0.898, "3": 0.886},
        ("cube", "paper"): {"1": 0.596, "2": 0.624, "3": 0.626},
    },
    source="arXiv:2606.20104, authors' later code, history of SIGReg, 5 seeds, solved starts counted",
)
