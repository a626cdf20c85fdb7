"""How many training episodes does planning need?  (an axis that neither paper has)

Every arm is judged on the same tasks of the same test episodes, and a smaller training set is the beginning of a
larger one. The scale local has 400 episodes on TwoRoom elsewhere.
"""

from search_spaces._sweep import Sweep, levels

SWEEP = Sweep(
    question="How few training episodes are enough before planning success drops?",
    base="smwm",
    worlds={"local": "two_room", "gpu": "two_room", "paper": "two_room"},
    arms=levels("data.episodes", (25, 50, 100, 200, 400)),
    baseline="400",
    seeds=range(3),
    primary="success_rate",
    margin=0.05,
)
