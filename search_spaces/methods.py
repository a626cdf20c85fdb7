"""How do the methods compare, every one on the same tasks?  (SMWM, main result and its later baselines)

Baseline LeWM: its one weight is the same in every world. Published: 5 training seeds, goals 25 steps ahead, solved
starts counted; PLDM with 100 epochs of batch 128; SMWM from their first run, with its weights by world, as here.
DINO-WM: LeWM's Figure 6 has, by another protocol, TwoRoom 1.00, Reacher 0.79, Push-T 0.74 and Cube 0.86.
"""

from search_spaces._sweep import Sweep, methods

PUBLISHED = ("forward_only", "smwm", "lewm", "pldm", "smwm_sigreg")

SWEEP = Sweep(
    question="Which method plans best, all judged on the same tasks?",
    base="lewm",
    worlds={"local": "two_room", "gpu": "two_room", "paper": "two_room"},
    arms=methods("forward_only", "smwm", "lewm", "pldm", "pldm_original", "smwm_sigreg", "smwm_multistep", "dino_wm"),
    baseline="lewm",
    published={
        ("two_room", "paper"): dict(zip(PUBLISHED, (0.350, 1.000, 0.944, 0.992, 0.988), strict=True)),
        ("reacher", "paper"): dict(zip(PUBLISHED, (0.076, 0.714, 0.692, 0.682, 0.744), strict=True)),
        ("push_t", "paper"): dict(zip(PUBLISHED, (0.018, 0.844, 0.898, 0.704, 0.910), strict=True)),
        ("cube", "paper"): dict(zip(PUBLISHED, (0.438, 0.830, 0.592, 0.582, 0.770), strict=True)),
    },
    source="arXiv:2606.20104, authors' later code (smwm: their first), 5 seeds, solved starts counted",
)
