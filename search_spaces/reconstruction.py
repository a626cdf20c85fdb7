"""Does it help the latent to be decoded back to pixels, too?  (LeWM, reconstruction ablation)

Published: success on Push-T over 3 training seeds, 50 tasks; the weight of the reconstruction there is not told, here
it is 1, in units of the encoder's normalised images.
"""

from search_spaces._sweep import Arm, Sweep

SWEEP = Sweep(
    question="Does a reconstruction loss help or hurt planning success?",
    base="lewm",
    worlds={"local": "two_room", "gpu": "push_t", "paper": "push_t"},
    arms=[Arm("without"), Arm("with", {"terms.reconstruction.weight": 1.0})],
    baseline="without",
    seeds=range(3),
    primary="success_rate",
    margin=0.05,
    published={("push_t", "paper"): {"without": 0.960, "with": 0.860}},
    source="arXiv:2603.19312, reconstruction ablation, 3 seeds, 50 tasks",
)
