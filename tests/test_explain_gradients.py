"""Attributions: they add up, reach no further than the Renderer, and say nothing where nothing depends."""

import numpy as np
import pytest
from conftest import draw
from tiny_nets import tiny_config, tiny_generator

torch = pytest.importorskip("torch")
pytest.importorskip("captum")

from upbrush import weights  # noqa: E402
from upbrush.engine import MODEL_DIR  # noqa: E402
from upbrush.errors import ConfigError, WeightsError  # noqa: E402
from upbrush.explain import attribution, lam, response  # noqa: E402
from upbrush.explain.figures import response_plot  # noqa: E402
from upbrush.explain.findings import half_area  # noqa: E402
from upbrush.explain.scene import Scene, open_generator  # noqa: E402
from upbrush.tiles import Box  # noqa: E402

REGION = Box(60, 72, 76, 88)


@pytest.fixture(scope="module")
def generator():
    return tiny_generator().requires_grad_(False)


@pytest.fixture(scope="module")
def scene(generator):
    code = generator.encoder(torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(1)))
    return Scene(generator, draw(40, 44), code, 1.0, 0.5)


def test_the_diffusion_index_tells_one_from_all():
    single = np.zeros((64, 64))
    single[5, 7] = 3
    assert lam.diffusion_index(single) == pytest.approx(100 / 64**2)
    assert lam.diffusion_index(np.full((8, 8), 0.2)) == pytest.approx(100)
    half = np.repeat([0.0, 1.0], 50)
    assert lam.diffusion_index(half) == pytest.approx(50)
    assert lam.diffusion_index(np.zeros(9)) == 0
    assert lam.diffusion_index(half) == lam.diffusion_index(-7 * half[::-1])


def test_attributions_of_one_pixel_lie_on_it():
    low = torch.rand(1, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    found, gained = lam.integrated(lambda x: x[0, 1, 6, 9] ** 2, low, 20)
    assert float(found[0, 1, 6, 9]) == pytest.approx(gained, rel=1e-3)
    found[0, 1, 6, 9] = 0
    assert not found.any()


def test_the_path_goes_from_blurred_to_the_picture():
    low = torch.rand(1, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(lam.blurred(low, 0.0), low)
    torch.testing.assert_close(lam.blurred(low, 1e-3), low)
    steps = [lam.blurred(low, sigma).std() for sigma in (0.3, 0.6, 1.2)]
    assert steps == sorted(steps, reverse=True)
    torch.testing.assert_close(lam.blurred(torch.full_like(low, 0.3), 1.2), torch.full_like(low, 0.3))


@pytest.mark.parametrize("thumbnail", [False, True])
def test_local_attributions_are_complete(scene, thumbnail):
    found = lam.depend(scene, REGION, thumbnail=thumbnail)
    assert found.total == pytest.approx(found.gained, rel=0.02)
    assert abs(found.gained) > 0.1
    assert (found.share is None) == (not thumbnail)
    if thumbnail:
        assert 0 < found.share < 1  # the rest of the picture has a say, by way of the thumbnail


def test_with_mods_held_nothing_beyond_the_reach_matters(scene):
    """The whole picture rendered, not the part that `depend` cuts out: beyond the reach all is exactly zero."""
    mods = scene.mods()

    def edges(low):
        return lam.edge_sum(
            scene.generator.renderer(low, mods)[..., REGION.top : REGION.bottom, REGION.left : REGION.right]
        )

    whole, _ = lam.integrated(edges, scene.crop(Box(0, 0, 40, 44)), 10)
    field = whole[0].abs().sum(0).numpy()
    near = scene.around(REGION, scene.reach_px)
    beyond = np.ones_like(field, bool)
    beyond[near.slices] = False
    assert beyond.any()
    assert (field[beyond] == 0).all()
    assert (field[near.slices] > 0).mean() > 0.5
    part = lam.depend(scene, REGION, steps=10)
    np.testing.assert_allclose(part.map, whole[0].sum(0).numpy()[part.window.slices], atol=1e-5)
    assert part.diffusion == pytest.approx(lam.diffusion_index(field[part.window.slices]), rel=1e-4)


def test_a_flat_picture_depends_on_nothing(generator):
    found = lam.depend(Scene(generator, np.full((20, 20, 3), 120, np.uint8), None, 0.0, 0.5), Box(8, 8, 24, 24))
    assert (found.total, found.gained) == pytest.approx((0, 0), abs=1e-5)
    assert found.diffusion == 0


@pytest.mark.parametrize(
    ("region", "said"),
    [
        (Box(150, 0, 166, 16), "leaves the output, which is 176x160"),
        (Box(-4, 0, 12, 16), "leaves the output"),
        (Box(8, 8, 9, 24), "expected 2 to 256"),
        (Box(8, 8, 8, 8), "expected 2 to 256"),
    ],
)
def test_regions_that_cannot_be_asked_about(scene, region, said):
    with pytest.raises(ConfigError, match=said):
        lam.depend(scene, region)


def test_windows_stay_in_the_picture(scene):
    assert scene.window(Box(0, 0, 16, 16), 30) == Box(0, 0, 30, 30)
    assert scene.window(Box(144, 160, 160, 176), 30) == Box(10, 14, 40, 44)
    assert scene.window(REGION, 64) == Box(0, 0, 40, 44)


@pytest.fixture(scope="module")
def source(scene):
    return attribution.trace_style(scene, draw(120, 150), Box(10, 10, 30, 30))


def test_style_attributions_are_complete(source):
    assert source.view.shape[0] == 256
    assert source.code.sum() == pytest.approx(source.code_moved, rel=0.03)
    assert source.painting.sum() == pytest.approx(source.painting_moved, rel=0.03)
    assert source.code_moved > 0.1
    assert source.painting_moved > 1


def test_plain_grey_brings_no_style(scene):
    grey = np.full((64, 64, 3), 127.5, np.float32).round().astype(np.uint8)
    found = attribution.trace_style(scene, grey, Box(10, 10, 30, 30))
    assert found.code_moved < 0.05
    assert np.abs(found.painting).sum() < 1


def test_cells_keep_sums_and_half_of_them_is_half():
    values = np.random.default_rng(0).normal(size=(37, 50))
    cells = attribution.in_cells(values, 8)
    assert cells.shape == (5, 7)
    assert cells.sum() == pytest.approx(values.sum())
    assert half_area(np.full((10, 10), 2.0)) == 0.5
    assert half_area(np.array([[9.0, 1, -5, 0]])) == 0.25
    assert half_area(np.zeros((3, 3))) == 0


@pytest.mark.parametrize("styled", [True, False])
def test_layers_answer_their_knob(scene, generator, styled):
    asked = scene if styled else Scene(generator, scene.low, None, 0.0, 0.5)
    part = Box(4, 4, 28, 30)
    found = response.respond(asked, part)
    assert found.knob == ("strength" if styled else "fidelity")
    assert found.layers == ("head", "body 1", "body 2", "up", "fine 1", "fine 2", "out")
    assert (found.activations[0] == 0).all()
    assert (np.diff(found.activations[:, 0]) > 0).all()  # of the first layer, mods are a line in strength
    first, last = (asked.mods(**{found.knob: value}) for value in (0.0, 1.0))
    start, end = (generator.renderer(asked.crop(part), mods).clamp(0, 1) for mods in (first, last))
    assert found.whole == pytest.approx(255 * float((end - start).square().mean().sqrt()), rel=1e-5)
    assert found.alone.shape == found.without.shape == (8,)
    assert found.alone.min() > 0
    svg = response_plot(found)
    assert svg.startswith("<svg")
    assert "currentColor" in svg
    assert "colour matrix" in svg


def test_every_mod_belongs_to_one_layer(generator):
    slices = response.mod_slices(generator.renderer)
    counted = np.zeros(generator.renderer.mods, int)
    for own in slices:
        counted[own] += 1
    assert (counted == 1).all()
    assert len(slices) == len(response.layer_names(generator.renderer)) + 1


def test_layer_outputs_are_what_the_renderer_computes(generator, scene):
    low, mods = scene.crop(Box(0, 0, 12, 12)), scene.mods()
    outputs = response.layer_outputs(generator.renderer, low, mods)
    changed = mods.clone()
    changed[:, response.mod_slices(generator.renderer)[2]] += 0.1
    later = response.layer_outputs(generator.renderer, low, changed)
    assert [torch.equal(one, other) for one, other in zip(outputs, later, strict=True)] == [True] * 2 + [False] * 5


def test_weights_of_another_model_are_refused(generator, tmp_path):
    path = tmp_path / "weights.safetensors"
    weights.save(path, generator, tiny_config(), {})

    class Other:
        identity = "other"

    with pytest.raises(WeightsError, match="the model that paints is other"):
        open_generator(path, Other())
    with pytest.raises(WeightsError, match="cannot be read"):
        open_generator(tmp_path / "none.safetensors", Other())


@pytest.mark.skipif(
    not all((MODEL_DIR / name).is_file() for name in ("weights.safetensors", "renderer.onnx")),
    reason="the shipped model is not in src/upbrush/model",
)
def test_a_scene_paints_what_the_engine_paints():
    from upbrush import styles
    from upbrush.engine import open_engine
    from upbrush.painter import Painter

    engine = open_engine(threads=1)
    style = styles.random(3)
    low = draw(36, 40)
    painted = Painter(engine).paint(low, style, strength=0.7, fidelity=0.2)
    generator = open_generator(MODEL_DIR / "weights.safetensors", engine)
    scene = Scene(generator, low, torch.from_numpy(style.code.copy())[None], 0.7, 0.2)
    high = generator.renderer(scene.crop(Box(0, 0, 36, 40)), scene.mods())[0].clamp(0, 1).permute(1, 2, 0).numpy()
    assert np.abs(255 * high - painted).max() <= 1.01
