"""What does planning success cost in seconds per plan?  (LeWM, Table 6, as a front instead of three sizes)"""

from search_spaces._sweep import Sweep, at_most, choice, integers, search

SWEEP = Sweep(
    question="Which predictors are worth their planning time?",
    base="lewm",
    worlds={"local": "two_room", "gpu": "push_t", "paper": "push_t"},
    search=search(
        {
            "predictor.width": choice(16, 32, 64, 128, 192, 384),
            "predictor.depth": integers(1, 6),
            "predictor.mlp": integers(32, 2048, log=True),
        },
        objectives=("success_rate", "planning_seconds"),
        budget=40,
        limits=(at_most("planning_seconds", 1.0),),
        confirm=3,
    ),
)
