"""Does the latent grow with what the action controls of an arrow's position and angle?  (SMWM, sprite world)

By the effective rank, for which the paper's code prints a value for every arm (1 seed, its own small networks); linear
R² there is 0.98 for y where x alone is controlled. Without control there is nothing to infer, nor to plan; that it then
collapses is the paper's finding after 195,400 updates. The knee that is expected for x and xy is a hypothesis; for xyt
there is none, for the paper's own spectrum (0.33, 0.19, 0.12, 0.10, 0.07, ...) has its largest ratio after the first.
"""

from search_spaces._sweep import Arm, Sweep

CONTROL = "data.options.control"
NONE = {CONTROL: "none", "measures.success_rate": None}

SWEEP = Sweep(
    question="Does the latent keep more of an arrow's state the more of it the action controls?",
    base="smwm",
    worlds={"local": "sprite", "gpu": "sprite", "paper": "sprite"},
    arms=[Arm("none", NONE), Arm("x", {CONTROL: "x"}), Arm("xy"), Arm("xyt", {CONTROL: "xyt"})],
    baseline="xy",
    primary="effective_rank",
    margin=0.5,
    truth={"knee": {"x": 1.0, "xy": 2.0}},
    published={("sprite", "paper"): {"none": 1.00, "x": 2.08, "xy": 3.47, "xyt": 7.72}},
    source="arXiv:2606.20104, authors' code, sprite world, 1 seed",
)
