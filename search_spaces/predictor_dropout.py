"""How much dropout does the predictor need, and does it hurt to have none?  (LeWM, predictor dropout)

Published: success on Push-T over 3 training seeds, the same 50 tasks, with 0.667 to 0.960 the widest range among its
ablations of the predictor. Dropout is in the predictor's attention and MLP; 0.1 is the default of both papers.
"""

from search_spaces._sweep import Sweep, levels

SWEEP = Sweep(
    question="How does planning success depend on the predictor's dropout?",
    base="lewm",
    worlds={"local": "two_room", "gpu": "push_t", "paper": "push_t"},
    arms=levels("predictor.dropout", (0.0, 0.1, 0.2, 0.5)),
    baseline="0.1",
    seeds=range(3),
    primary="success_rate",
    margin=0.05,
    published={("push_t", "paper"): {"0": 0.780, "0.1": 0.960, "0.2": 0.853, "0.5": 0.667}},
    source="arXiv:2603.19312, predictor dropout, 3 seeds, 50 tasks",
)
