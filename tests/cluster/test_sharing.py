"""A worker asks for the share of a GPU that the nearest training took, and trials that share one run side by side."""

from __future__ import annotations

from study.sharing import CONTEXT, Sharing, share
from trainables import ids, pipeline
from trainables.files import read_json, write_json
from trainables.paths import assign_all, base_config, flatten
from trainables.store import Store

CARD = 80 << 30


def config(**sets):
    return assign_all(base_config("lewm", "two_room", "gpu"), sets)


def took(gibibytes, **sets):
    return flatten(config(**sets)), {"peak": int(gibibytes * (1 << 30)), "total": CARD}, "NVIDIA H100 80GB HBM3"


def keep(store, config, memory, device="NVIDIA H100 80GB HBM3"):
    """A made-up finished training of the config."""
    folder = store.work(ids.train_key(config)) / "out"
    folder.mkdir()
    write_json(folder / "config.json", config.model_dump(mode="json"))
    write_json(folder / "result.json", {"status": "ok", "memory": memory, "provenance": {"device": device}})
    store.put(ids.train_key(config), folder)


def test_the_share_is_the_measured_peak_and_a_quarter_more_in_sixteenths_of_the_card():
    assert share(config(), []) == 1.0
    assert share(config(), [took(3.0)]) == 1 / 16
    assert share(config(), [took(15.9)]) == 5 / 16
    assert share(config(), [took(75.0)]) == 1.0
    assert (15.9 * 1.25 + CONTEXT / (1 << 30)) / 80 <= 5 / 16


def test_the_nearest_past_counts_and_of_those_the_hungriest():
    past = [
        took(3.0, **{"predictor.size": "tiny"}),
        took(9.0, seed=1),
        took(11.0, seed=2),
        took(60.0, **{"optim.lr": 1}),
    ]
    assert share(config(seed=9), past) == 3 / 16
    assert share(config(**{"predictor.size": "tiny"}), past) == 1 / 16


def test_the_store_tells_and_learns_and_a_trial_that_ran_out_of_memory_gets_a_whole_gpu(tmp_path):
    store, sharing = Store(tmp_path), Sharing(Store(tmp_path), lambda: True)
    assert sharing.share(config(seed=1)) == 1.0
    keep(store, config(), {"peak": 8 << 30, "total": CARD})
    keep(store, config(seed=5), None)
    assert sharing.share(config(seed=1)) == 1.0
    sharing.learn(config())
    sharing.learn(config(seed=5))
    assert sharing.share(config(seed=1)) == Sharing(store, lambda: True).share(config(seed=1)) == 3 / 16
    assert sharing.share(config(workers=2)) == 1.0
    assert sharing.share(config(gpu_share=0.3)) == 0.3
    assert (
        Sharing(store, lambda: False).share(config()) == Sharing(store, lambda: False).share(config(gpu_share=0.3)) == 0
    )
    pipeline.fail(config(seed=2), store, "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB")
    assert sharing.share(config(seed=2)) == 1.0


def test_what_was_measured_on_another_kind_of_card_says_nothing(tmp_path):
    store, cards = Store(tmp_path), ["H100"]
    keep(store, config(), {"peak": 8 << 30, "total": CARD})
    sharing = Sharing(store, lambda: True, lambda: frozenset(cards))
    assert sharing.share(config(seed=1)) == 3 / 16
    cards.append("L4")
    assert sharing.share(config(seed=1)) == 1.0
    keep(store, config(seed=2), {"peak": 8 << 30, "total": 24 << 30}, "NVIDIA L4")
    sharing.learn(config(seed=2))
    cards.remove("H100")
    assert sharing.share(config(seed=1)) == 7 / 16


class Ear:
    """A listener that looks at how much of the GPUs is taken whenever a trial says something."""

    def __init__(self):
        self.taken, self.records = set(), []

    def collecting(self, what, done, total):
        pass

    def started(self, trial):
        """Nothing yet."""

    def reported(self, trial, report):
        import ray

        self.taken.add(ray.cluster_resources()["GPU"] - ray.available_resources().get("GPU", 0.0))

    def again(self, trial, why):
        raise AssertionError(why)

    def waits(self, what):
        """The machine is slow."""

    def finished(self, trial, record):
        self.records.append(record)


def test_trials_that_share_a_gpu_run_side_by_side(small, tmp_path, monkeypatch):
    """A GPU that Ray counts and torch does not see."""
    import ray

    from study import execute
    from study.sources import Arms

    start = ray.init
    monkeypatch.setattr(ray, "init", lambda **options: start(num_gpus=1, num_cpus=2, **options))
    first, *trials = small(seeds=2, executor="train").trials[:3]
    store, ear = Store(tmp_path), Ear()
    keep(store, first.config, {"peak": 28 << 30, "total": CARD})
    execute.execute(Arms(trials, store), store, [ear])
    assert [record["status"] for record in ear.records] == ["collapsed"] * 2
    assert max(ear.taken) == 2 * Sharing(store, lambda: True).share(trials[0].config) == 2 * 8 / 16
    result = read_json(store.get(ids.train_key(trials[0].config)) / "result.json")
    assert result["memory"] is None and result["trace"]
