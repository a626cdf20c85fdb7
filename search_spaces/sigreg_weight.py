"""How sensitive is LeWM to its one hyperparameter, the weight of SIGReg?  (LeWM, Figure 16)

Published as a figure: above 0.8 from 0.01 to 0.2 on Push-T, best near 0.09, the default: 0.960 over 3 seeds.
The scale local sets 0.01 elsewhere; the baseline here is the published 0.09 at every scale.
"""

from search_spaces._sweep import Sweep, levels

SWEEP = Sweep(
    question="How sensitive is planning success to the weight of SIGReg?",
    base="lewm",
    worlds={"local": "two_room", "gpu": "push_t", "paper": "push_t"},
    arms=levels("terms.sigreg.weight", (0.01, 0.03, 0.09, 0.3, 1.0)),
    baseline="0.09",
    seeds=range(3),
    primary="success_rate",
    margin=0.05,
    published={("push_t", "paper"): {"0.09": 0.960}},
    source="arXiv:2603.19312, Figure 16; 0.09 from Table 6",
)
