"""How many dimensions must the latent have before planning works?  (LeWM, Figure 15)

Published as a curve from 8 to 384 on Push-T: success falls below some 184 dimensions and is flat above; 0.960 over 3
training seeds at 192, the default. The scale local has 64 elsewhere; the baseline here is 192 at every scale. The
predictor keeps its width: where the latent's is another, a linear map leads into it and one back.
"""

from search_spaces._sweep import Sweep, levels

SWEEP = Sweep(
    question="How small can the latent be before planning success drops?",
    base="lewm",
    worlds={"local": "two_room", "gpu": "push_t", "paper": "push_t"},
    arms=levels("projector.dim", (8, 24, 64, 192, 384)),
    baseline="192",
    seeds=range(3),
    primary="success_rate",
    margin=0.05,
    published={("push_t", "paper"): {"192": 0.960}},
    source="arXiv:2603.19312, Figure 15; 192 from Table 6",
)
