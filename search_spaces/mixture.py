"""Do the inverse term and SIGReg help each other, or is one of them enough?  (SMWM, its later combination)

Weight 0: reported, not trained on. Published: 5 training seeds, goals 25 steps ahead, solved starts counted (random
actions: TwoRoom 0.300, Push-T 0.028); inverse 0.1 alone is of their sweep of that weight, the rest of the main run.
"""

from search_spaces._sweep import Arm, Sweep

PATHS = ("terms.inverse.weight", "terms.sigreg.weight")
NAME = "inverse {:g}, SIGReg {:g}"
KNOWN = [NAME.format(*both) for both in ((0, 0), (0.1, 0), (10, 0), (0, 0.09), (10, 0.09))]
GRID = [(inverse, sigreg) for inverse in (0.0, 0.1, 10.0) for sigreg in (0.0, 0.01, 0.09)]

SWEEP = Sweep(
    question="Does a mixture of the inverse term and SIGReg plan better than either of them?",
    base="smwm",
    worlds={"local": "two_room", "gpu": "two_room", "paper": "two_room"},
    arms=[Arm(NAME.format(*both), dict(zip(PATHS, both, strict=True))) for both in GRID],
    baseline=NAME.format(10, 0.09),
    published={
        ("two_room", "paper"): dict(zip(KNOWN, (0.350, 0.972, 0.968, 0.944, 0.988), strict=True)),
        ("push_t", "paper"): dict(zip(KNOWN, (0.018, 0.548, 0.836, 0.898, 0.910), strict=True)),
    },
    source="arXiv:2606.20104, authors' later code, 5 seeds, solved starts counted",
)
