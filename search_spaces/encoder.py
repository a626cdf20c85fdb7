"""Does the encoder matter: a small convolution network or a vision transformer?  (LeWM, encoder ablation)

Published: success on Push-T over 3 training seeds for the ViT (a ResNet-18 reaches 0.94); the conv encoder is ours.
"""

from search_spaces._sweep import Sweep, levels

SWEEP = Sweep(
    question="Does planning success depend on the kind of encoder?",
    base="lewm",
    worlds={"local": "two_room", "gpu": "push_t", "paper": "push_t"},
    arms=levels("encoder", ("conv", "vit")),
    baseline="conv",
    seeds=range(3),
    primary="success_rate",
    margin=0.05,
    published={("push_t", "paper"): {"vit": 0.960}},
    source="arXiv:2603.19312, encoder ablation",
)
