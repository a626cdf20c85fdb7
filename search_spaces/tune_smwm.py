"""How well does SMWM plan once it is tuned, and which of its settings matter?  (SMWM, its lambda and more)"""

from search_spaces._sweep import Sweep, asha, choice, log_uniform, search

SWEEP = Sweep(
    question="How much does SMWM gain by tuning, and which of its settings matter?",
    base="smwm",
    worlds={"local": "two_room", "gpu": "two_room", "paper": "two_room"},
    search=search(
        {
            "terms.inverse.weight": log_uniform(1e-2, 1e3),
            "encoder": choice("conv", "vit"),
            "predictor.size": choice("tiny", "small", "base"),
            "optim.lr": log_uniform(1e-4, 1e-2),
        },
        objectives=("success_rate",),
        budget=40,
        prune=asha("probe_r2"),
    ),
)
