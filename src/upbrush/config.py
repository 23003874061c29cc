"""The settings of a training run: frozen, checked, read from TOML recipes.

Keys of a recipe are the fields below; an unknown key is an error that names the nearest one. Defaults live only here.
"""

import difflib
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from upbrush.degrade import Degradation
from upbrush.errors import ConfigError


class Settings(BaseModel):
    """Frozen, and refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelConfig(Settings):
    """Sizes of the generator."""

    channels: int = Field(64, ge=4, description="channels of the Renderer at the low resolution")
    pairs: int = Field(5, ge=1, description="residual pairs of convolutions at the low resolution")
    up_channels: int = Field(32, ge=4, description="channels of the stage at twice the low resolution")
    code_size: int = Field(256, ge=8, description="numbers in a style code")
    encoder_channels: tuple[int, ...] = Field((32, 64, 128, 224), description="channels of the StyleEncoder's stages")
    hidden: int = Field(192, ge=8, description="width of the Modulator's two hidden layers that restore")
    style_hidden: int = Field(384, ge=8, description="width of its two hidden layers that repaint")


class DataConfig(Settings):
    """Which pictures are drawn, and how they are cut."""

    crop_px: int = Field(192, ge=32, multiple_of=4, description="side of the high crops, pixels")
    restore: int = Field(8, ge=0, description="pictures a batch restored at fidelity 1: pixel loss only, cheap")
    sharp: int = Field(2, ge=0, description="pictures a batch restored at a fidelity drawn from [0, 1)")
    repaint: int = Field(4, ge=0, description="pictures a batch repainted in a style")
    plain_batches: int = Field(0, ge=0, description="after each such batch, batches as large of `restore` alone: cheap")
    mix: dict[str, float] = Field({}, description="share of each kind of picture; empty: every picture alike")
    style_kinds: tuple[str, ...] = Field((), description="kinds that styles are drawn from; empty: all")
    bicubic_share: float = Field(0.5, ge=0, le=1, description="share of low pictures that are plain bicubic")
    sharp_bicubic_share: float | None = Field(None, ge=0, le=1, description="the same of `sharp`; none: bicubic_share")
    fidelity_power: float = Field(1.0, gt=0, description="of fidelities drawn below 1; beyond 1, more of them are low")
    native: float = Field(0.5, ge=0, le=1, description="share of crops at a picture's own size; the rest are reduced")
    zoom: float = Field(0.6, gt=0, le=1, description="smallest factor a picture is reduced by before it is cut")
    detail_tries: int = Field(1, ge=1, description="places tried for a crop; the one with most detail is taken")
    drawn: float = Field(0.0, ge=0, le=1, description="share of pictures and styles that are patterns drawn by code")
    leaves: float = Field(0.0, ge=0, le=1, description="of the rest, share that are dead leaves, drawn by code")
    patterns_every: int = Field(
        0, ge=0, description="of so many batches, one of patterns alone, half to twice as large as crop_px; 0: none"
    )
    photographs: float = Field(0.0, ge=0, le=1, description="share of pictures that are scikit-image's; styles are not")
    buffer: int = Field(1000, ge=1, description="pictures among which a stream is shuffled, each kind and worker")
    workers: int = Field(1, ge=0, description="processes that read, cut and degrade")

    @property
    def pictures(self) -> int:
        """Pictures a batch."""
        return self.restore + self.sharp + self.repaint

    def patterns_at(self, step: int) -> bool:
        """Whether a step's batch is of patterns alone."""
        return self.patterns_every > 0 and (step + 1) % self.patterns_every == 0

    def patterns_of(self, side: int) -> int:
        """How many patterns, `side` pixels square, have together as many pixels as another batch; at least one."""
        return max(1, self.pictures * self.crop_px**2 // side**2)


class LossConfig(Settings):
    """Weights of the losses."""

    pixel: float = Field(20.0, ge=0, description="absolute error of restored pictures")
    pixel_share: float = Field(1.0, ge=0, le=1, description="share of it that is left at fidelity 0; between, a line")
    pattern: float = Field(100.0, ge=0, description="absolute error of batches of patterns, whatever their fidelity")
    psnr: float = Field(0.0, ge=0, description="dB lost of restored pictures, times fidelity")
    perceptual: float = Field(2.0, ge=0, description="VGG distance of restored pictures, times 1 - fidelity")
    content: float = Field(1.0, ge=0, description="content error of repaints, times strength")
    structure: float = Field(0.0, ge=0, description="lost correlation of lightness of repaints, times strength")
    style: float = Field(8.0, ge=0, description="style error of repaints, times strength")
    texture: float = Field(
        0.0, ge=0, description="texture of repaints spread otherwise than the style's, times strength"
    )
    ghost: float = Field(
        0.0, ge=0, description="texture beyond the truth's where that is smooth, below fidelity 1 and in repaints"
    )
    halo: float = Field(
        0.0, ge=0, description="colours of repaints that differ where the truth is plain and alike, times strength"
    )
    identity: float = Field(0.0, ge=0, description="lost likeness of faces, restored below fidelity 1 or repainted")
    weave: float = Field(0.0, ge=0, description="detail in some directions only, below fidelity 1 and in repaints")
    range: float = Field(1.0, ge=0, description="mean excess over [0, 1]")
    grid: float = Field(0.0, ge=0, description="deviation between sub-pixel places: the dot grid")
    blends: float = Field(0.2, ge=0, le=1, description="share of repaints at a strength drawn from (0, 1), not 1")


class GameConfig(Settings):
    """The discriminator and its game with the generator."""

    weight: float = Field(0.0, ge=0, description="of the game in the generator's loss; 0: no discriminator")
    until: float = Field(1.0, gt=0, le=1, description="fidelity from which on restored pictures are out of the game")
    loss: Literal["relativistic", "hinge"] = Field("relativistic", description="how logits become losses")
    channels: tuple[int, ...] = Field((32, 64, 128, 192), description="channels of the patch encoder's stages")
    embedding: int = Field(256, ge=8, description="numbers that a patch is summed up in")
    patch_px: int = Field(32, ge=8, multiple_of=8, description="side of the patches; the second size is twice it")
    patches: int = Field(8, ge=1, description="most patches of each size judged in a picture")
    spectral: bool = Field(False, description="spectral normalisation of the discriminator")
    lr: float = Field(4e-4, gt=0, description="learning rate of the discriminator, before warm-up and decay")
    penalty: float = Field(0.1, ge=0, description="gamma of R1 and R2; 0: none")
    penalty_every: int = Field(8, ge=1, description="the game's steps between penalties, which count for all of them")
    clip_norm: float = Field(10.0, gt=0, description="the discriminator's gradients are scaled down to this norm")
    warmup_steps: int = Field(200, ge=0, description="steps over which the game's weight rises from zero")
    augment: bool = Field(False, description="DiffAugment, for some hundreds of pictures or fewer")


class TrainConfig(Settings):
    """The loop."""

    steps: int = Field(20_000, ge=1, description="steps in all; the learning rate falls to zero over them")
    optimiser: Literal["adam", "muon"] = Field("muon", description="of the generator; see muon.py")
    lr: float = Field(1e-3, gt=0, description="highest learning rate")
    warmup_steps: int = Field(200, ge=0, description="steps over which the learning rate rises from zero")
    decay_share: float = Field(0.7, ge=0, le=1, description="last share of the steps, over which it falls (cosine)")
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = Field(0.0, ge=0, description="of wide convolutions, times the learning rate; Muon's only")
    frozen: tuple[str, ...] = Field((), description="parts of the generator that stay as they are: renderer, ...")
    anchor: float = Field(0.0, ge=0, description="pull of --from's weights, times the learning rate: forget less")
    keep: float = Field(0.0, ge=0, description="pull of --from's repaints in styles at random: forget none of them")
    clip_norm: float = Field(0.5, gt=0, description="gradients are scaled down to this norm")
    ema_halflife_steps: float = Field(300, gt=0, description="half-life of the moving average that is shipped")
    seed: int = Field(0, description="of what is drawn; to go on from weights by --from take another, or see it again")
    precision: Literal["auto", "bf16", "float32"] = Field(
        "auto", description="of the networks; auto: bf16 where it is computed, not imitated; losses are float32"
    )
    compile: bool = Field(False, description="compile networks and losses first: minutes, then steps take two thirds")
    log_every_steps: int = Field(20, ge=1)
    sample_every_steps: int = Field(500, ge=1)
    save_every_minutes: float = Field(5, gt=0)

    @field_validator("weight_decay")
    @classmethod
    def _decays(cls, decay: float, others: ValidationInfo) -> float:
        if decay and others.data.get("optimiser") == "adam":
            raise ValueError('train.optimiser = "adam" decays no weights; take "muon", or leave it out')
        return decay


class Config(Settings):
    """A recipe, resolved."""

    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    degradation: Degradation = Degradation()
    loss: LossConfig = LossConfig()
    game: GameConfig = GameConfig()
    train: TrainConfig = TrainConfig()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not self.data.pictures:
            raise ValueError("data.restore, data.sharp and data.repaint are all 0; a batch wants a picture")
        least = 4 * self.game.patch_px  # a patch of the larger size, and one beside it that it is judged by
        if self.game.weight and self.data.sharp + self.data.repaint and self.data.crop_px < least:
            raise ValueError(f"data.crop_px is {self.data.crop_px}; a game with these patches takes {least} or more")
        return self


def load(path: Path | None = None, changes: Sequence[str] = ()) -> Config:
    """Read a recipe, with changes such as "train.steps=2000" on top.

    Raises ConfigError for a missing file, broken TOML, an unknown key or a value out of its range.
    """
    tree: dict[str, Any] = {}
    if path is not None:
        try:
            tree = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read ({error.strerror}); give the path of a recipe.toml") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: is not TOML ({error}); see recipes/ for examples") from None
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set {change}: expected key=value, such as train.steps=2000")
        _put(tree, key.strip().split("."), _value(value.strip()))
    return check(tree, str(path or "settings"))


def check(tree: dict[str, Any], source: str) -> Config:
    """Turn plain values into settings; raises ConfigError in one line that names the key."""
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        if not where:  # settings that do not go together
            raise ConfigError(f"{source}: {first['msg'].removeprefix('Value error, ')}") from None
        hint = ""
        if first["type"] == "extra_forbidden":
            close = difflib.get_close_matches(where, _keys(Config), 1, 0.4)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ConfigError(f"{source}: no setting is called {where}{hint}") from None
        raise ConfigError(f"{source}: {where} = {first.get('input')!r}: {first['msg']}") from None


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """The names, dotted, of what two trees of settings do not share."""
    keys = []
    for key in sorted(old.keys() | new.keys()):
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            keys += differences(a, b, f"{prefix}{key}.")
        elif a != b:
            keys.append(prefix + key)
    return keys


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text  # a bare word is a string


def _put(tree: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        tree = tree.setdefault(key, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"--set {'.'.join(keys)}: {key} is a value, not a table")
    tree[keys[-1]] = value


def _keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    keys = []
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            keys += _keys(kind, f"{prefix}{name}.")
        else:
            keys.append(prefix + name)
    return keys
