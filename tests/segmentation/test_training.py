"""A training learns, repeats itself bit for bit, and loses nothing when it is stopped."""

from __future__ import annotations

import errno
import json
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from slicewise.config import Config, parse_config
from slicewise.dataset.cache import CachedCase
from slicewise.errors import CheckpointError, InterruptedBySignal, OutputError, TrainingError
from slicewise.segmentation import training as module
from slicewise.segmentation import training_steps, validation
from slicewise.segmentation.checkpoint import load_checkpoint
from slicewise.segmentation.resuming import resume_training
from slicewise.segmentation.training import Training
from slicewise.segmentation.validation import ValidationScore, validate

MakeConfig = Callable[..., Config]
Cases = Sequence[CachedCase]


class Stop(Exception):
    """Something unexpected between two steps."""


class Observer:
    """Remembers what it is told; acts after a step on demand."""

    def __init__(self, actions: dict[int, Callable[[], object]] | None = None) -> None:
        self.actions = actions or {}
        self.steps: list[int] = []
        self.losses: list[float] = []
        self.scores: dict[int, ValidationScore] = {}

    def on_step(self, step: int, values: dict[str, float]) -> None:
        self.steps.append(step)
        self.losses.append(values["loss"])
        self.actions.get(step, int)()

    def on_validation(self, step: int, score: ValidationScore) -> None:
        self.scores[step] = score


def stop() -> None:
    raise Stop


def terminate() -> None:
    signal.raise_signal(signal.SIGTERM)


def a_training(config: Config, cases: Cases) -> Training:
    return Training(config, cases[:-1], cases[-1:], "0")


def require_equal(ours: Any, theirs: Any, where: str = "") -> None:
    """Bit for bit, except the clock."""
    if isinstance(ours, torch.Tensor):
        assert torch.equal(ours, theirs), where
    elif isinstance(ours, dict):
        assert ours.keys() == theirs.keys(), where
        for key in ours:
            if key not in ("seconds", "step_seconds", "data_seconds"):
                require_equal(ours[key], theirs[key], f"{where}.{key}")
    elif isinstance(ours, list | tuple):
        assert len(ours) == len(theirs), where
        for number, pair in enumerate(zip(ours, theirs, strict=True)):
            require_equal(*pair, f"{where}.{number}")
    else:
        assert ours == theirs, where


def require_equal_checkpoints(one: Path, other: Path) -> None:
    ours, theirs = load_checkpoint(one), load_checkpoint(other)
    require_equal(ours.model, theirs.model, "model")
    require_equal(ours.training_state, theirs.training_state, "state")
    require_equal(ours.facts, theirs.facts, "facts")


def test_the_first_answer_has_the_share_of_the_structure(
    make_config: MakeConfig, cases: Cases
) -> None:
    training = a_training(make_config(), cases)
    share = float(training.batches.sampler.class_priors(6, 2)[1])
    assert 0.02 < share < 0.3
    bias = training.network.final_conv.bias
    assert torch.sigmoid(bias).item() == pytest.approx(share, rel=1e-5)
    # Dice alone could not leave so sure a background.
    alone = a_training(make_config(training={"loss": "dice"}), cases).network.final_conv.bias
    assert torch.sigmoid(alone).item() > share


@pytest.mark.parametrize(
    "values",
    [
        {"optimizer": "adamw", "loss": "dice_ce", "channels_last": True},
        {"optimizer": "sgd", "loss": "dice", "channels_last": False, "schedule": "polynomial"},
    ],
    ids=["adamw", "sgd"],
)
def test_learns_what_can_be_learned(
    make_config: MakeConfig, cases: Cases, tmp_path: Path, values: dict[str, Any]
) -> None:
    config = make_config(training=values | {"steps": 30})
    training, observer = a_training(config, cases), Observer()
    progress = training.run(tmp_path, observer)
    assert observer.steps == list(range(1, 31))
    assert np.mean(observer.losses[-3:]) < 0.5 * np.mean(observer.losses[:3])
    assert list(observer.scores) == [15, 30]
    assert observer.scores[30].mean > 0.8
    assert progress.best_dice == max(score.mean for score in observer.scores.values())
    assert progress.seconds > progress.step_seconds > progress.data_seconds > 0


def test_learns_two_structures(
    make_config: MakeConfig, two_class_cases: Cases, tmp_path: Path
) -> None:
    config = make_config(data={"labels": {"first": 1, "second": 2}}, training={"steps": 40})
    observer = Observer()
    a_training(config, two_class_cases).run(tmp_path, observer)
    assert min(observer.scores[40].dice.values()) > 0.7


def test_the_learning_rate_follows_the_schedule(make_config: MakeConfig, cases: Cases) -> None:
    training = a_training(make_config(training={"steps": 4, "warmup_fraction": 0.5}), cases)
    rates = [training.step()["learning_rate"] for _ in range(4)]
    assert rates == pytest.approx([0.1 / 3, 0.2 / 3, 0.1, 0.05])


def test_checkpoints_tell_what_they_are(
    make_config: MakeConfig, cases: Cases, tmp_path: Path
) -> None:
    config = make_config(data={"root": "/somewhere/private"})
    training = Training(config, cases[:2], cases[2:3], "3")
    training.run(tmp_path, Observer())
    last = load_checkpoint(tmp_path / "last.pt")
    assert last.facts["fold"] == "3"
    assert last.facts["step"] == 6
    assert last.facts["train"] == {"a": "key-a", "b": "key-b"}
    assert last.facts["val"] == {"c": "key-c"}
    in_plane = (0.5, 0.75)
    spacing = {"lowest": in_plane, "median": in_plane, "highest": in_plane}
    assert last.facts["training_spacing"] == spacing
    assert "private" not in last.config_yaml
    require_equal(last.model, dict(training.model.state_dict()))


def test_the_model_is_the_running_average(make_config: MakeConfig, cases: Cases) -> None:
    training = a_training(make_config(), cases)
    for _ in range(3):
        training.step()
    average = training.optimization.average
    assert average is not None
    assert training.model is average.module
    names = dict(training.network.named_parameters())
    assert any(
        not torch.equal(value, names[name]) for name, value in training.model.named_parameters()
    )
    plain = a_training(make_config(training={"ema_decay": None}), cases)
    assert plain.model is plain.network


def test_a_row_a_validation(make_config: MakeConfig, cases: Cases, tmp_path: Path) -> None:
    observer = Observer()
    config = make_config(training={"steps": 7, "validations": 3})
    a_training(config, cases).run(tmp_path, observer)
    rows = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [3, 5, 7]
    for row in rows:
        assert row["disc"] == row["mean"] == observer.scores[row["step"]].mean


def test_best_and_last(
    make_config: MakeConfig, cases: Cases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = iter([0.5, 0.7, 0.6])
    monkeypatch.setattr(module, "validate", lambda *_, **__: ValidationScore({"disc": next(dice)}))
    config = make_config(training={"steps": 6, "validations": 3})
    progress = a_training(config, cases).run(tmp_path, Observer())
    best, last = (load_checkpoint(tmp_path / name) for name in ("best.pt", "last.pt"))
    assert (best.facts["step"], last.facts["step"]) == (4, 6)
    assert best.facts["best_dice"] == last.facts["best_dice"] == 0.7
    assert (progress.best_step, progress.best_dice) == (4, 0.7)
    # The checkpoint holds the weights of its own step.
    again = a_training(config, cases)
    for _ in range(4):
        again.step()
    require_equal(best.model, dict(again.model.state_dict()))


def test_patience_ends_early(
    make_config: MakeConfig, cases: Cases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = iter([0.5, 0.4, 0.6, 0.6, 0.5, 0.9])
    monkeypatch.setattr(module, "validate", lambda *_, **__: ValidationScore({"disc": next(dice)}))
    config = make_config(training={"steps": 12, "validations": 6, "patience": 2})
    progress = a_training(config, cases).run(tmp_path, Observer())
    # Steps 8 and 10 are no better than step 6.
    assert progress.step == 10
    assert progress.best_step == 6
    assert load_checkpoint(tmp_path / "last.pt").facts["step"] == 10
    # Going on ends at once.
    resumed = resume_training(config, cases[:-1], cases[-1:], "0", tmp_path)
    assert resumed.run(tmp_path, Observer()).step == 10


LIVELY = {
    "network": {"dropout": 0.3},
    "training": {"steps": 8, "validations": 2},
    "augmentation": {"affine_probability": 0.5, "noise_probability": 0.5},
}


class TestRepeating:
    def test_same_seed_same_weights(
        self, make_config: MakeConfig, cases: Cases, tmp_path: Path
    ) -> None:
        for name in ("one", "two"):
            torch.rand(3)  # the state of the caller must not matter
            a_training(make_config(**LIVELY), cases).run(tmp_path / name, Observer())
        require_equal_checkpoints(tmp_path / "one" / "last.pt", tmp_path / "two" / "last.pt")

    def test_another_seed_other_weights(self, make_config: MakeConfig, cases: Cases) -> None:
        one, two = (a_training(make_config(seed=seed), cases).network for seed in (1, 2))
        pairs = zip(one.parameters(), two.parameters(), strict=True)
        assert any(not torch.equal(ours, theirs) for ours, theirs in pairs)

    def test_the_callers_random_state_stays(
        self, make_config: MakeConfig, cases: Cases, tmp_path: Path
    ) -> None:
        torch.rand(3)  # not where another training has left it
        before, numpy_before = torch.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002
        a_training(make_config(**LIVELY), cases).run(tmp_path, Observer())
        assert torch.equal(torch.get_rng_state(), before)
        np.testing.assert_array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002

    @pytest.mark.parametrize(("optimizer", "ema_decay"), [("adamw", 0.9), ("sgd", None)])
    def test_stopped_by_a_signal_and_resumed(
        self,
        make_config: MakeConfig,
        cases: Cases,
        tmp_path: Path,
        optimizer: str,
        ema_decay: float | None,
    ) -> None:
        values = LIVELY["training"] | {"optimizer": optimizer, "ema_decay": ema_decay}
        config = make_config(**LIVELY | {"training": values})
        whole, parts = tmp_path / "whole", tmp_path / "parts"
        a_training(config, cases).run(whole, Observer())
        with pytest.raises(InterruptedBySignal):
            a_training(config, cases).run(parts, Observer({5: terminate}))
        observer = Observer()
        resumed = resume_training(config, cases[:-1], cases[-1:], "0", parts)
        assert resumed.progress.step == 5
        resumed.run(parts, observer)
        assert observer.steps == [6, 7, 8]
        require_equal_checkpoints(whole / "last.pt", parts / "last.pt")
        assert (whole / "history.jsonl").read_text() == (parts / "history.jsonl").read_text()

    @pytest.mark.fault(71, "OK")
    @pytest.mark.fault(113, "OK")
    def test_killed_and_resumed_from_the_last_validation(
        self, make_config: MakeConfig, cases: Cases, tmp_path: Path
    ) -> None:
        config = make_config(**LIVELY)
        whole, parts = tmp_path / "whole", tmp_path / "parts"
        a_training(config, cases).run(whole, Observer())
        with pytest.raises(Stop):
            a_training(config, cases).run(parts, Observer({6: stop}))
        resumed = resume_training(config, cases[:-1], cases[-1:], "0", parts)
        assert resumed.progress.step == 4
        resumed.run(parts, Observer())
        require_equal_checkpoints(whole / "last.pt", parts / "last.pt")
        require_equal_checkpoints(whole / "best.pt", parts / "best.pt")
        # Each step once.
        assert len(resumed.progress.losses) == 8
        assert (whole / "history.jsonl").read_text() == (parts / "history.jsonl").read_text()

    @pytest.mark.fault(73, "E")
    def test_a_full_disk_keeps_the_checkpoint_before_it(
        self, make_config: MakeConfig, cases: Cases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config = make_config(**LIVELY)
        whole, parts = tmp_path / "whole", tmp_path / "parts"
        a_training(config, cases).run(whole, Observer())
        training, save = a_training(config, cases), torch.save

        def save_while_there_is_room(content: object, path: Path) -> None:
            if training.progress.step < 8:
                save(content, path)
                return
            path.write_bytes(b"half of it")
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(torch, "save", save_while_there_is_room)
            with pytest.raises(OutputError, match="No space left") as caught:
                training.run(parts, Observer())
        assert caught.value.where in {str(parts / "best.pt"), str(parts / "last.pt")}
        assert not list(parts.glob(".*"))
        resumed = resume_training(config, cases[:-1], cases[-1:], "0", parts)
        assert resumed.progress.step == 4
        resumed.run(parts, Observer())
        require_equal_checkpoints(whole / "last.pt", parts / "last.pt")

    @pytest.mark.fault(107, "E")
    @pytest.mark.parametrize("where", ["sampling", "forward", "backward", "validation"])
    def test_stopped_anywhere_and_resumed(
        self,
        make_config: MakeConfig,
        cases: Cases,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        where: str,
    ) -> None:
        config = make_config(**LIVELY)
        whole, parts = tmp_path / "whole", tmp_path / "parts"
        a_training(config, cases).run(whole, Observer())
        training = a_training(config, cases)

        def interrupt(*_: object) -> None:
            if training.progress.step == 4:
                terminate()

        with monkeypatch.context() as patch:
            if where == "sampling":
                inner = training.batches.sampler.batch
                patch.setattr(
                    training.batches.sampler, "batch", lambda *at: (interrupt(), inner(*at))[1]
                )
            elif where == "forward":
                # Batch normalisation has seen the batch by then.
                training.network.final_conv.register_forward_hook(interrupt)
            elif where == "backward":
                first = next(training.network.parameters())
                first.register_post_accumulate_grad_hook(interrupt)
            else:
                patch.setattr(validation, "overlap", interrupt)
            with pytest.raises(InterruptedBySignal):
                training.run(parts, Observer())
        resumed = resume_training(config, cases[:-1], cases[-1:], "0", parts)
        assert resumed.progress.step == 4
        resumed.run(parts, Observer())
        require_equal_checkpoints(whole / "last.pt", parts / "last.pt")
        require_equal_checkpoints(whole / "best.pt", parts / "best.pt")
        assert (whole / "history.jsonl").read_text() == (parts / "history.jsonl").read_text()

    def test_resumed_twice(self, make_config: MakeConfig, cases: Cases, tmp_path: Path) -> None:
        config = make_config(**LIVELY)
        whole, parts = tmp_path / "whole", tmp_path / "parts"
        a_training(config, cases).run(whole, Observer())
        with pytest.raises(InterruptedBySignal):
            a_training(config, cases).run(parts, Observer({1: terminate}))
        with pytest.raises(InterruptedBySignal):
            resume_training(config, cases[:-1], cases[-1:], "0", parts).run(
                parts, Observer({3: terminate})
            )
        resume_training(config, cases[:-1], cases[-1:], "0", parts).run(parts, Observer())
        require_equal_checkpoints(whole / "last.pt", parts / "last.pt")

    def test_checkpoints_between_validations(
        self, make_config: MakeConfig, cases: Cases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "SECONDS_BETWEEN_CHECKPOINTS", -1)
        with pytest.raises(Stop):
            a_training(make_config(**LIVELY), cases).run(tmp_path, Observer({3: stop}))
        assert load_checkpoint(tmp_path / "last.pt").facts["step"] == 2


@pytest.mark.fault(79, "E")
@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGTERM, 143),
        (signal.SIGINT, 130),
        pytest.param(signal.SIGHUP, 129, marks=pytest.mark.fault(108, "E")),
    ],
    ids=["TERM", "INT", "HUP"],
)
def test_a_signal_saves_and_tells_the_shell(
    make_config: MakeConfig, cases: Cases, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}
    observer = Observer({2: lambda: signal.raise_signal(number)})
    with pytest.raises(InterruptedBySignal) as caught:
        a_training(make_config(), cases).run(tmp_path, observer)
    assert caught.value.exit_code == code
    assert caught.value.where == str(tmp_path / "last.pt")
    assert "`resume`" in caught.value.remedy
    assert observer.steps == [1, 2]
    assert load_checkpoint(tmp_path / "last.pt").facts["step"] == 2
    assert {one: signal.getsignal(one) for one in before} == before


@pytest.mark.parametrize(("steps", "validations"), [(19, 10), (7, 3), (4, 4), (3, 5)])
def test_validations_are_as_many_as_configured(
    make_config: MakeConfig, cases: Cases, tmp_path: Path, steps: int, validations: int
) -> None:
    observer = Observer()
    values = {"steps": steps, "validations": validations}
    a_training(make_config(training=values), cases).run(tmp_path, observer)
    assert len(observer.scores) == min(steps, validations)
    assert max(observer.scores) == steps


class TestNotANumber:
    @pytest.fixture
    def broken(self, cases: Cases, tmp_path: Path) -> CachedCase:
        folder = tmp_path / "broken"
        folder.mkdir()
        image = cases[0].image.copy()
        image[:] = np.nan
        np.save(folder / "image.npy", image)
        np.save(folder / "label.npy", cases[0].label)
        np.save(folder / "points.npy", cases[0].points)
        return CachedCase("broken-case", "p", "k", folder)

    def test_names_the_cases(
        self, make_config: MakeConfig, broken: CachedCase, cases: Cases, tmp_path: Path
    ) -> None:
        training = Training(make_config(), [broken], cases[:1], "0")
        with pytest.raises(TrainingError, match="broken-case") as caught:
            training.run(tmp_path / "out", Observer())
        assert caught.value.where == "step 1"
        assert "slicewise check" in caught.value.remedy
        assert not (tmp_path / "out").exists()

    def test_names_only_cases_of_the_batch(
        self, make_config: MakeConfig, broken: CachedCase, cases: Cases, tmp_path: Path
    ) -> None:
        config = make_config(training={"batch_size": 1, "steps": 50})
        observer = Observer()
        with pytest.raises(TrainingError) as caught:
            Training(config, [*cases[:3], broken], cases[3:], "0").run(tmp_path / "out", observer)
        assert caught.value.found == "nan on the batch of broken-case"

    def test_gradient_alone_names_the_batch_and_spares_the_weights(
        self, make_config: MakeConfig, cases: Cases
    ) -> None:
        training = a_training(make_config(), cases)
        weight = next(training.network.parameters())
        before = weight.detach().clone()
        weight.register_hook(lambda gradient: gradient * torch.nan)
        with pytest.raises(TrainingError, match="a finite gradient"):
            training.step()
        assert torch.equal(weight, before)

    def test_leaves_the_last_checkpoint_intact(
        self,
        make_config: MakeConfig,
        cases: Cases,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        training = a_training(make_config(training={"steps": 8, "validations": 4}), cases)
        inner = training.batches.sampler.batch

        def batch(step: int, size: int) -> Any:
            found = inner(step, size)
            if step == 4:
                found.images[0, 0, 3, 3] = float("nan")
            return found

        monkeypatch.setattr(training.batches.sampler, "batch", batch)
        with pytest.raises(TrainingError, match="step 5"):
            training.run(tmp_path, Observer())
        last = load_checkpoint(tmp_path / "last.pt")
        assert last.facts["step"] == 4
        assert all(torch.isfinite(value).all() for value in last.model.values())


def test_without_cases(make_config: MakeConfig, cases: Cases) -> None:
    with pytest.raises(TrainingError, match="at least one training case"):
        Training(make_config(), [], cases[:1], "0")


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision(
    make_config: MakeConfig, cases: Cases, tmp_path: Path, precision: str
) -> None:
    config = make_config(training={"steps": 20, "precision": precision})
    training, observer = a_training(config, cases), Observer()
    training.run(tmp_path, observer)
    assert observer.losses[-1] < observer.losses[0]
    assert all(value.dtype != torch.float16 for value in training.network.parameters())
    assert all(torch.isfinite(value).all() for value in training.network.parameters())


@pytest.mark.fault(100, "E")
def test_steps_without_effect_are_counted_and_have_an_end(
    make_config: MakeConfig, cases: Cases, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = a_training(make_config(training={"precision": "float16"}), cases)
    with monkeypatch.context() as patch:
        patch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *_: torch.tensor(torch.inf))
        training.step()
        training.step()
    training.step()
    assert (training.progress.skipped, training.progress.skipped_in_a_row) == (2, 0)
    monkeypatch.setattr(training_steps, "_MOST_SKIPPED", 1)
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *_: torch.tensor(torch.inf))
    training.step()
    with pytest.raises(TrainingError, match="a finite gradient"):
        training.step()


def test_half_precision_is_resumed(make_config: MakeConfig, cases: Cases, tmp_path: Path) -> None:
    config = make_config(training={"precision": "float16"})
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    a_training(config, cases).run(whole, Observer())
    with pytest.raises(InterruptedBySignal):
        a_training(config, cases).run(parts, Observer({2: terminate}))
    resume_training(config, cases[:-1], cases[-1:], "0", parts).run(parts, Observer())
    require_equal_checkpoints(whole / "last.pt", parts / "last.pt")


def test_what_is_validated_is_what_is_saved(
    make_config: MakeConfig, cases: Cases, tmp_path: Path
) -> None:
    config, observer = make_config(), Observer()
    training = a_training(config, cases)
    training.run(tmp_path, observer)
    fresh = a_training(config, cases)
    fresh.model.load_state_dict(load_checkpoint(tmp_path / "last.pt").model)
    score = validate(fresh.model, cases[-1:], config, torch.device("cpu"))
    assert score == observer.scores[6]


class TestBudget:
    """A training in minutes, on a clock that jumps with every look at it."""

    @pytest.fixture
    def clock(self) -> Callable[[], float]:
        looks = np.random.default_rng(3).exponential(0.2, 100_000).cumsum()
        return iter(looks.tolist()).__next__

    @pytest.fixture
    def config(self, make_config: MakeConfig) -> Config:
        changes = {"steps": None, "budget_minutes": 0.5, "validations": 4}
        return make_config(**LIVELY | {"training": changes})

    @pytest.mark.fault(106, "OK")
    def test_its_configuration_repeats_it_bit_for_bit(
        self, config: Config, cases: Cases, tmp_path: Path, clock: Callable[[], float]
    ) -> None:
        first = Training(config, cases[:2], cases[2:], "0", clock=clock)
        observer = Observer()
        first.run(tmp_path / "one", observer)
        section = first.config.training
        assert (section.steps, section.budget_minutes) == (len(observer.steps), None)
        assert len(observer.steps) > 10
        again = Training(first.config, cases[:2], cases[2:], "0")
        again.run(tmp_path / "two", Observer())
        require_equal_models(tmp_path / "one", tmp_path / "two")
        # The checkpoint knows how to repeat it, too.
        text = load_checkpoint(tmp_path / "one" / "last.pt").config_yaml
        assert parse_config(text, "last.pt") == first.config

    @pytest.mark.fault(106, "OK")
    def test_stopped_resumed_and_repeated(
        self, config: Config, cases: Cases, tmp_path: Path, clock: Callable[[], float]
    ) -> None:
        parts = tmp_path / "parts"
        with pytest.raises(InterruptedBySignal):
            Training(config, cases[:2], cases[2:], "0", clock=clock).run(
                parts, Observer({5: terminate})
            )
        resumed = resume_training(config, cases[:2], cases[2:], "0", parts)
        assert resumed.progress.step == 5
        assert resumed.course.state_in_words(5).startswith("step 5, 0.")
        with pytest.raises(InterruptedBySignal):
            resumed.run(parts, Observer({7: terminate}))
        last = resume_training(config, cases[:2], cases[2:], "0", parts)
        last.course.spend(29)  # or the rest of half a minute would pass
        last.run(parts, Observer())
        Training(last.config, cases[:2], cases[2:], "0").run(tmp_path / "whole", Observer())
        require_equal_models(tmp_path / "whole", parts)
        # It is finished: nothing is left to do, whichever budget is named.
        assert resume_training(config, cases[:2], cases[2:], "0", parts).run(
            parts, Observer()
        ).step == (last.config.training.steps)
        with pytest.raises(CheckpointError, match="steps"):
            resume_training(make_steps(last.config, 999), cases[:2], cases[2:], "0", parts)


def make_steps(config: Config, steps: int) -> Config:
    training = config.training.model_copy(update={"steps": steps, "recorded": None})
    return config.model_copy(update={"training": training})


def require_equal_models(one: Path, other: Path) -> None:
    for name in ("last.pt", "best.pt"):
        ours, theirs = load_checkpoint(one / name), load_checkpoint(other / name)
        require_equal(ours.model, theirs.model, name)
        require_equal(ours.facts, theirs.facts, name)
    assert (one / "history.jsonl").read_text() == (other / "history.jsonl").read_text()
