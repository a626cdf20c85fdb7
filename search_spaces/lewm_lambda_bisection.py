"""Does bisection find LeWM's one hyperparameter in O(log n) trials?  (LeWM, its claim against PLDM's six)

A range of 33 weights is halved by the better of two neighbours: about 2 log2(33) = 10 trials if there is one peak.
"""

from search_spaces._sweep import Sweep, log_uniform, search

SWEEP = Sweep(
    question="Does bisection find a weight of SIGReg that plans as well as the default?",
    base="lewm",
    worlds={"local": "two_room", "gpu": "push_t", "paper": "push_t"},
    search=search(
        {"terms.sigreg.weight": log_uniform(1e-3, 1.0)},
        objectives=("success_rate",),
        budget=14,
        sampler="bisection",
    ),
)
