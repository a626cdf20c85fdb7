"""How coarse may SIGReg's sketch of the latent be: how many projections, how many knots?  (LeWM, Figure 15)

Published as curves on Push-T, each with the other at its default: 0.94 to 0.98 for 64 to 1024 projections, some 0.80
for 4 knots and 0.95 from 8 on. The scale local has 128 projections elsewhere; the baseline is the published sketch.
"""

from search_spaces._sweep import Sweep, grid

SWEEP = Sweep(
    question="How few projections and knots does SIGReg need?",
    base="lewm",
    worlds={"local": "two_room", "gpu": "push_t", "paper": "push_t"},
    arms=grid({"terms.sigreg.projections": (16, 128, 1024), "terms.sigreg.knots": (4, 17)}),
    baseline="projections=1024 knots=17",
    seeds=range(3),
    primary="success_rate",
    margin=0.05,
    published={("push_t", "paper"): {"projections=1024 knots=17": 0.960}},
    source="arXiv:2603.19312, Figure 15; the default from Table 6",
)
