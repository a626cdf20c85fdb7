"""Do the inverse term and SIGReg help each other?  (the mixture of SMWM and LeWM that neither paper has)"""

from search_spaces._sweep import Sweep, asha, log_uniform, search

SWEEP = Sweep(
    question="Does a mixture of the inverse term and SIGReg plan better than the inverse term alone?",
    base="smwm",
    worlds={"local": "two_room", "gpu": "two_room", "paper": "two_room"},
    search=search(
        {
            "terms.inverse.weight": log_uniform(1e-2, 1e2),
            "terms.sigreg.weight": log_uniform(1e-4, 1.0),
        },
        objectives=("success_rate",),
        budget=30,
        prune=asha("probe_r2"),
    ),
)
