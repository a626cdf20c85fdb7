"""Does the latent keep what an action controls, and nothing else?  (SMWM, dot worlds)

The spectrum has its knee, the largest ratio of successive eigenvalues, after the dimensions that are controlled: what
moves by chance adds none. Published: the knees of the paper's spectra, one seed, its own small networks.
"""

from search_spaces._sweep import Arm, Sweep

PATH = "data.options.groups"
COUPLED, COMBINED = {PATH: "coupled"}, {PATH: "coupled+independent+independent+random"}
INDEPENDENT, DISTRACTOR = {PATH: "independent+independent"}, {PATH: "independent+random"}
KNEES = {"independent": 4.0, "coupled": 2.0, "distractor": 2.0, "combined": 6.0}

SWEEP = Sweep(
    question="Does the latent have as many dimensions as the action controls?",
    base="smwm",
    worlds={"local": "dots", "gpu": "dots", "paper": "dots"},
    arms=[Arm(*arm) for arm in zip(KNEES, (INDEPENDENT, COUPLED, DISTRACTOR, COMBINED), strict=True)],
    baseline="independent",
    primary="knee",
    margin=0.5,
    truth={"knee": KNEES},
    published={("dots", "paper"): KNEES},
    source="arXiv:2606.20104, dot worlds, 1 seed",
)
