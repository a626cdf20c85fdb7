"""How small can the predictor be before planning fails?  (LeWM, Table 6)

Published: success on Push-T over 3 training seeds, 50 tasks each. Only `small` is described in full:
how large `tiny` and `base` are is ours at every scale.
"""

from search_spaces._sweep import Sweep, levels

SWEEP = Sweep(
    question="How small can the predictor be before planning success drops?",
    base="lewm",
    worlds={"local": "two_room", "gpu": "push_t", "paper": "push_t"},
    arms=levels("predictor.size", ("tiny", "small", "base")),
    baseline="small",
    seeds=range(3),
    primary="success_rate",
    margin=0.05,
    published={("push_t", "paper"): {"tiny": 0.807, "small": 0.960, "base": 0.867}},
    source="arXiv:2603.19312, Table 6",
)
