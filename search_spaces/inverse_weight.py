"""How much must the inverse term weigh before planning works, and does more of it hurt?  (SMWM, its lambda)

Published: success on TwoRoom over 5 training seeds, 100 tasks each, with a goal 25 steps ahead,
solved starts counted (random actions: 0.300).
"""

from search_spaces._sweep import Sweep, levels

SWEEP = Sweep(
    question="How does planning success depend on the weight of the inverse term?",
    base="smwm",
    worlds={"local": "two_room", "gpu": "two_room", "paper": "two_room"},
    arms=levels("terms.inverse.weight", (0.1, 1.0, 10.0, 100.0)),
    baseline="0.1",
    seeds=range(3),
    primary="success_rate",
    margin=0.05,
    published={("two_room", "paper"): {"0.1": 0.972, "1": 0.966, "10": 0.968, "100": 0.970}},
    source="arXiv:2606.20104, authors' later code, 5 seeds, solved starts counted (random actions there: 0.300)",
)
