"""Which method plans best once every one is tuned with the same number of trials?  (no paper tells)"""

from search_spaces._sweep import Sweep, log_uniform, methods, search_each

SWEEP = Sweep(
    question="Which method plans best once every one is tuned with the same number of trials?",
    base="smwm",
    worlds={"local": "two_room", "gpu": "push_t", "paper": "push_t"},
    arms=methods("smwm", "lewm", "pldm"),
    baseline="smwm",
    search=search_each(
        {
            "smwm": {"terms.inverse.weight": log_uniform(0.03, 100.0)},
            "lewm": {"terms.sigreg.weight": log_uniform(1e-3, 1.0)},
            "pldm": {
                "terms.variance.weight": log_uniform(0.2, 54.0),
                "terms.covariance.weight": log_uniform(0.13, 36.0),
                "terms.time_similarity.weight": log_uniform(0.0022, 0.6),
                "terms.time_variance.weight": log_uniform(0.0076, 2.1),
            },
        },
        objectives=("success_rate",),
        budget=12,
    ),
)
