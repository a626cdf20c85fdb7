"""How well does LeWM plan once it is tuned, and which of its settings matter?  (LeWM, its ablations as one search)"""

from search_spaces._sweep import Sweep, asha, choice, log_uniform, search, uniform

SWEEP = Sweep(
    question="How much does LeWM gain by tuning, and which of its settings matter?",
    base="lewm",
    worlds={"local": "two_room", "gpu": "push_t", "paper": "push_t"},
    search=search(
        {
            "terms.sigreg.weight": log_uniform(1e-3, 1.0),
            "terms.sigreg.projections": choice(32, 128, 512, 1024),
            "predictor.dropout": uniform(0.0, 0.3),
            "predictor.size": choice("tiny", "small", "base"),
            "encoder": choice("conv", "vit"),
        },
        objectives=("success_rate",),
        budget=40,
        prune=asha("probe_r2"),
    ),
)
