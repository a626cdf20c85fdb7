"""What the papers vary can be varied here: by one path each, in training and in planning alike."""

import pytest
import torch

from envs._episodes import Clips, Episodes
from trainables import ids, pipeline, training
from trainables.paths import assign_all, flatten
from trainables.settings import ConfigError

KNOBS = [
    ("lewm", {"predictor.size": "base"}),
    ("lewm", {"predictor.dropout": 0.5}),
    ("lewm", {"projector.dim": 24}),
    ("lewm", {"projector.norm": "none"}),
    ("lewm", {"terms.sigreg.projections": 32}),
    ("lewm", {"terms.sigreg.knots": 5}),
    ("lewm", {"terms.sigreg.weight": 0.5}),
    ("smwm", {"terms.inverse.weight": 3.0}),
    ("smwm", {"terms.inverse.width": 32}),
    ("smwm", {"terms.sigreg.weight": 0.09}),
    ("smwm", {"history": 2}),
    ("smwm", {"history": 3}),
    ("smwm", {"optim.batch": 8}),
    ("smwm", {"optim.lr": 1e-4}),
    ("smwm", {"frameskip": 2}),
    ("smwm", {"data.episodes": 10}),
    ("smwm", {"encoder.channels": 16}),
    ("smwm", {"encoder": "vit", "encoder.patch": 8, "encoder.width": 96}),
    ("smwm", {"compile": "aot_eager"}),
]


@pytest.mark.parametrize(("method", "changes"), KNOBS, ids=lambda given: str(given))
def test_a_knob_changes_the_trial_and_its_first_update(method, changes, tiny, data):
    plain = tiny(method, predictor__dropout=0.1)
    config = assign_all(plain, changes)
    assert {path: flatten(config)[path] for path in changes if path in flatten(config)}.items() <= changes.items()
    assert ids.train_key(config) != ids.train_key(plain)
    first, second = updates(config, data(config))
    assert first > 0 and second != first


def updates(config, folders, count=2):
    clips = Clips(Episodes(folders["train"]), config.clip, config.frameskip)
    run = training.Run(config, clips, Episodes(folders["validation"]))
    assert [run.advance() for _ in range(count)] == ["ok"] * count
    return run.history["loss"]


@pytest.mark.parametrize("history", [1, 2, 3])
def test_planning_sees_as_many_frames_as_training(history, tiny, shelf):
    config = tiny("smwm", history=history)
    assert config.context == history and config.clip == history + 1
    assert pipeline.run_trial(config, shelf)["measures"]["success_rate"] >= 0


def test_compiled_networks_train_alike_and_are_saved_under_the_same_names(tiny, data):
    plain, compiled = tiny("smwm", predictor__dropout=0.0), tiny("smwm", predictor__dropout=0.0, compile="aot_eager")
    assert updates(compiled, data(compiled), 5) == pytest.approx(updates(plain, data(plain), 5), rel=1e-4)
    clips = Clips(Episodes(data(plain)["train"]), plain.clip, plain.frameskip)
    runs = [training.Run(config, clips, Episodes(data(plain)["validation"])) for config in (plain, compiled)]
    one, two = (run.model.state_dict() for run in runs)
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_a_share_of_a_gpu_and_several_workers_are_told_by_config(tiny):
    shared = tiny("smwm", executor="train", gpu_share=0.25)
    assert shared.gpu_share == 0.25 and ids.train_key(shared) == ids.train_key(tiny("smwm"))
    with pytest.raises(ConfigError, match=r"gpu_share=0\.25 needs executor=train"):
        tiny("smwm", gpu_share=0.25)
    assert tiny("smwm", executor="train", workers=2, gpu_share=1.0).workers == 2
    for share in (0.0, 1.5):
        with pytest.raises(ConfigError, match="gpu_share"):
            tiny("smwm", gpu_share=share)
    with pytest.raises(ConfigError, match=r"gpu_share=0\.5: several workers"):
        tiny("smwm", executor="train", workers=2, gpu_share=0.5)
