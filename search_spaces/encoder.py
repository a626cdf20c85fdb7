"""Does the encoder matter: convolutions, a vision transformer, a ResNet-18, DINOv2?  (LeWM, encoder ablation)

Published: success on Push-T over 3 training seeds, 50 tasks. The conv encoder is ours. DINOv2 is pretrained and frozen
here, its class token all that the projector sees; without its weights that arm is shown as not run.
"""

from search_spaces._sweep import Arm, Sweep, levels

SWEEP = Sweep(
    question="Does planning success depend on the kind of encoder?",
    base="lewm",
    worlds={"local": "two_room", "gpu": "push_t", "paper": "push_t"},
    arms=[
        *levels("encoder", ("conv", "vit", "resnet18")),
        Arm("dinov2", {"encoder": "dinov2", "encoder.tokens": "class"}),
    ],
    baseline="conv",
    primary="success_rate",
    published={("push_t", "paper"): {"vit": 0.960, "resnet18": 0.940}},
    source="arXiv:2603.19312, encoder ablation",
)
