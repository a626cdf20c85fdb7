"""How well does PLDM plan once it is tuned, and does an inverse term help it?  (its authors' advice: x / 3 to 3 x)"""

from search_spaces._sweep import Sweep, asha, choice, log_uniform, search

SWEEP = Sweep(
    question="How much does PLDM gain by tuning, and does it need an inverse term?",
    base="pldm",
    worlds={"local": "two_room", "gpu": "push_t", "paper": "push_t"},
    search=search(
        {  # from a third of scale local's weights to three times the published ones
            "terms.variance.weight": log_uniform(0.2, 54.0),
            "terms.covariance.weight": log_uniform(0.13, 36.0),
            "terms.time_similarity.weight": log_uniform(0.0022, 0.6),
            "terms.time_variance.weight": log_uniform(0.0076, 2.1),
            "terms.inverse": choice(
                None, "inverse", then={"inverse": {"terms.inverse.weight": log_uniform(0.03, 10.0)}}
            ),
        },
        objectives=("success_rate",),
        budget=40,
        prune=asha("probe_r2"),
    ),
)
