"""What stands still is not painted anew in every frame; where shots begin; how shimmer is measured."""

import os
from pathlib import Path

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2", reason="opencv is not installed: the extra `video` brings it")

from upbrush.errors import ConfigError  # noqa: E402
from upbrush.measure import warping  # noqa: E402
from upbrush.video.shots import Shots  # noqa: E402
from upbrush.video.steady import ANCHOR_FRAMES, AROUND_PX, Steady  # noqa: E402

HEIGHT, WIDTH = 40, 56


def scene(seed, height=60, width=80, scale=4):
    """A picture with detail of every size: (scale*height, scale*width, 3) uint8."""
    rng = np.random.default_rng(seed)
    layers = [
        cv2.resize(rng.normal(0, 1, (height * scale // px, width * scale // px, 3)), (width * scale, height * scale),
                   interpolation=cv2.INTER_CUBIC)
        for px in (4, 10, 40)
    ]  # fmt: skip
    return np.clip(128 + 28 * sum(layers), 0, 255).astype(np.uint8)


def reduced(frame, times=4):
    return cv2.resize(frame, (frame.shape[1] // times, frame.shape[0] // times), interpolation=cv2.INTER_AREA)


def panned(frames, across, seed=0, down=0):
    """Low frames of a camera that moves so many high pixels a frame: a list of (HEIGHT, WIDTH, 3)."""
    wide = scene(seed)
    size = 4 * HEIGHT, 4 * WIDTH
    tops = [20 + down * t for t in range(frames)]
    lefts = [20 + across * t for t in range(frames)]
    return [reduced(wide[top : top + size[0], left : left + size[1]]) for top, left in zip(tops, lefts, strict=True)]


def shimmering(lows, seed=1, level=25.0):
    """A painter at its worst: the frame enlarged, with new strokes in every frame."""
    rng = np.random.default_rng(seed)
    painted = []
    for low in lows:
        large = cv2.resize(low, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC).astype(np.float32)
        strokes = cv2.GaussianBlur(rng.normal(0, 3 * level, large.shape[:2]), (0, 0), 1.2)[..., None]
        painted.append(np.clip(np.rint(large + strokes), 0, 255).astype(np.uint8))
    return painted


def steadied(lows, painted, hand, cuts=(0,)):
    return [hand.next(low, frame, t in cuts) for t, (low, frame) in enumerate(zip(lows, painted, strict=True))]


def pan_motion(frames, across):
    back = np.zeros((4 * HEIGHT, 4 * WIDTH, 2), np.float32)
    back[..., 0] = across
    return [warping.known_motion(back)] * (frames - 1)


# --- the steady hand


@pytest.mark.parametrize("across", [0, 3, 8])
def test_strokes_move_with_the_camera(across):
    lows = panned(8, across)
    painted = shimmering(lows)
    done = steadied(lows, painted, Steady(repaint=True))
    along = pan_motion(8, across)
    loose, held = warping.warping_error(painted, along), warping.warping_error(done, along)
    assert held < 0.3 * loose
    assert 0.9 < warping.edge_ratio(done[1:], painted[1:]) < 1.1


def test_without_motion_to_be_found_the_frame_is_its_own():
    """Noise upon noise: nothing is alike from frame to frame, so nothing is kept."""
    rng = np.random.default_rng(0)
    lows = [rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8) for _ in range(4)]
    painted = shimmering(lows)
    done = steadied(lows, painted, Steady(repaint=True))
    change = [np.abs(a.astype(int) - b).mean() for a, b in zip(done[1:], painted[1:], strict=True)]
    assert max(change) < 3
    assert np.array_equal(done[0], painted[0])


def test_a_cut_forgets_all():
    lows = panned(3, 2, seed=0) + panned(3, 2, seed=5)
    painted = shimmering(lows)
    done = steadied(lows, painted, Steady(repaint=True), cuts=(0, 3))
    fresh = steadied(lows[3:], painted[3:], Steady(repaint=True))
    assert all(np.array_equal(a, b) for a, b in zip(done[3:], fresh, strict=True))
    assert not np.array_equal(done[2], painted[2])


def test_what_is_given_is_left_as_it_is():
    lows = panned(3, 2)
    painted = shimmering(lows)
    kept = [frame.copy() for frame in (*lows, *painted)]
    steadied(lows, painted, Steady(repaint=False))
    assert all(np.array_equal(a, b) for a, b in zip((*lows, *painted), kept, strict=True))


@pytest.mark.parametrize("how", [{}, {"wrap": True}, {"stereo": "side"}, {"stereo": "over", "wrap": True}])
def test_a_state_goes_on_to_the_bit(how):
    frames = ANCHOR_FRAMES + 6
    lows = panned(frames, 1)
    painted = shimmering(lows)
    whole = steadied(lows, painted, Steady(repaint=True, **how))
    for split in (1, 3, ANCHOR_FRAMES + 1):
        hand = Steady(repaint=True, **how)
        steadied(lows[:split], painted[:split], hand)
        again = Steady.from_state(hand.state())
        rest = steadied(lows[split:], painted[split:], again, cuts=())
        assert all(np.array_equal(a, b) for a, b in zip(rest, whole[split:], strict=True))


def test_a_state_before_any_frame_and_a_damaged_one():
    assert (
        Steady.from_state(Steady(repaint=False).state()).next(*2 * [np.zeros((20, 20, 3), np.uint8)], False).any() == 0
    )
    for bad in (b"", b"nonsense", Steady(repaint=False).state()[:60]):
        with pytest.raises(ConfigError, match="state of a steadied clip is damaged"):
            Steady.from_state(bad)
    with pytest.raises(ConfigError, match="stereo 'sbs' is unknown"):
        Steady(repaint=False, stereo="sbs")


def test_sixteen_bits_are_steadied_as_eight():
    lows = panned(4, 3)
    painted = shimmering(lows)
    eight = steadied(lows, painted, Steady(repaint=True))
    sixteen = steadied(lows, [frame.astype(np.uint16) * 257 for frame in painted], Steady(repaint=True))
    assert sixteen[-1].dtype == np.uint16
    apart = np.abs(sixteen[-1] / 257 - eight[-1])
    assert np.percentile(apart, 99) < 3


@pytest.mark.parametrize("size", [(64, 96), (41, 57), (100, 140), (300, 220)])
def test_any_painted_size(size):
    lows = panned(3, 2)
    painted = [cv2.resize(frame, size[::-1]) for frame in shimmering(lows)]
    done = steadied(lows, painted, Steady(repaint=True))
    assert done[-1].shape == (*size, 3)


def test_frames_too_small_for_motion_are_left_alone():
    lows = [np.full((9, 30, 3), t, np.uint8) for t in range(3)]
    painted = [np.full((36, 120, 3), t, np.uint8) for t in range(3)]
    assert all(a is b for a, b in zip(steadied(lows, painted, Steady(repaint=True)), painted, strict=True))


def test_no_specks_grow():
    """Contrast that is given back in each of many frames must not pile up: values stay within those round about."""
    lows = panned(40, 1)
    painted = shimmering(lows)
    done = steadied(lows, painted, Steady(repaint=True))
    around = np.ones((AROUND_PX, AROUND_PX), np.uint8)
    assert (done[-1] >= cv2.erode(painted[-1], around)).all()
    assert (done[-1] <= cv2.dilate(painted[-1], around)).all()
    assert 0.9 < warping.edge_ratio(done[-8:], painted[-8:]) < 1.1


def test_what_stands_still_does_not_tremble():
    """Grain is no motion: of a camera that stands still, nothing moves but the light on its sensor."""
    rng = np.random.default_rng(3)
    low = panned(1, 0)[0].astype(float)
    lows = [np.clip(np.rint(low + rng.normal(0, 3, low.shape)), 0, 255).astype(np.uint8) for _ in range(8)]
    painted = shimmering(lows)
    done = steadied(lows, painted, Steady(repaint=True))
    along = pan_motion(8, 0)
    assert warping.warping_error(done, along) < 0.08 * warping.warping_error(painted, along)


def test_another_style_is_followed():
    """When the whole frame takes other colours, the past gives way within some frames."""
    lows = panned(14, 0)
    painted = shimmering(lows)
    later = [255 - frame for frame in painted]
    later = [np.clip(frame * [1.0, 0.6, 0.4], 0, 255).astype(np.uint8) for frame in later]
    share = [min(1, max(0, (t - 2) / 6)) for t in range(14)]
    given = [np.rint((1 - s) * a + s * b).astype(np.uint8) for s, a, b in zip(share, painted, later, strict=True)]
    done = steadied(lows, given, Steady(repaint=True))
    assert np.abs(done[-1].mean((0, 1)) - given[-1].mean((0, 1))).max() < 4
    correlation = np.corrcoef(done[-1].ravel(), later[-1].ravel())[0, 1]
    assert correlation > 0.8


def test_eyes_do_not_see_each_other():
    lows, others = panned(5, 2, seed=0), panned(5, 2, seed=7)
    painted, other_painted = shimmering(lows), shimmering(others, seed=9)
    both = steadied(
        [np.concatenate(pair, 1) for pair in zip(lows, others, strict=True)],
        [np.concatenate(pair, 1) for pair in zip(painted, other_painted, strict=True)],
        Steady(repaint=True, stereo="side"),
    )
    alone = steadied(lows, painted, Steady(repaint=True))
    assert all(np.array_equal(a[:, : 4 * WIDTH], b) for a, b in zip(both, alone, strict=True))


def test_motion_goes_on_round_the_edge():
    """A panorama that turns: strokes that leave on one side come in on the other."""
    round_ = cv2.GaussianBlur(np.tile(scene(3)[: 4 * HEIGHT, : 4 * WIDTH], (1, 3, 1)), (0, 0), 1)
    round_ = round_[:, 4 * WIDTH : 8 * WIDTH]
    highs = [np.roll(round_, -3 * t, 1) for t in range(8)]
    lows = [reduced(high) for high in highs]
    painted = shimmering(lows)
    edge = np.s_[:, -12:]  # what came in since the frame before
    flat, wrapped = (steadied(lows, painted, Steady(repaint=True, wrap=wrap)) for wrap in (False, True))

    def error(frames):
        pairs = zip(frames[2:], frames[3:], strict=False)
        return np.mean([np.square((np.roll(a, -3, 1)[edge].astype(float) - b[edge]) / 255).mean() for a, b in pairs])

    assert error(wrapped) < 0.8 * error(flat)


# --- shots


def film(*shots):
    return [frame for shot in shots for frame in shot]


def cuts(frames):
    shots = Shots()
    return [t for t, frame in enumerate(frames) if shots.next(frame)]


def test_cuts_are_found_and_nothing_else():
    assert cuts(film(panned(8, 5, seed=0), panned(6, 0, seed=1), panned(7, 2, seed=2, down=3))) == [0, 8, 14]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "expected"), [("cutBunny.mp4", [0, 235]), ("realshort.mp4", [0]), ("face.mp4", [0])])
def test_cuts_in_films(name, expected):
    av = pytest.importorskip("av", reason="PyAV is not installed: the extra `video` brings it")
    path = Path(os.environ.get("UPBRUSH_DATA", ""), "samples", name)
    if not path.is_file():
        pytest.skip("UPBRUSH_DATA is not set to a folder with samples/*.mp4")
    with av.open(str(path)) as clip:
        assert cuts(frame.to_ndarray(format="rgb24") for frame in clip.decode(clip.streams.video[0])) == expected


@pytest.mark.parametrize("across", [0, 1, 6, 10])
def test_a_moving_camera_is_no_cut(across):
    assert cuts(panned(9, across)) == [0]


def test_noise_flashes_and_fades_are_no_cuts():
    rng = np.random.default_rng(0)
    frame = panned(1, 0)[0]
    noisy = [np.clip(frame + rng.normal(0, 25, frame.shape), 0, 255).astype(np.uint8) for _ in range(6)]
    assert cuts(noisy) == [0]
    bright = np.clip(frame.astype(int) + 110, 0, 255).astype(np.uint8)
    assert cuts([frame] * 4 + [bright, np.full_like(frame, 255)] + [frame] * 4) == [0]
    assert cuts([(frame * (1 - t / 9)).astype(np.uint8) for t in range(9)]) == [0]
    other = panned(1, 0, seed=4)[0]
    dissolve = [cv2.addWeighted(frame, 1 - t / 20, other, t / 20, 0) for t in range(21)]
    assert cuts([frame] * 3 + dissolve + [other] * 3) == [0]


def test_behind_black_comes_a_new_shot():
    """Not with the black, which shows nothing: the look of the shot would be summed up from it."""
    one, other = panned(1, 0)[0], panned(1, 0, seed=4)[0]
    black = np.zeros_like(one)
    assert cuts([one] * 3 + [black] * 3 + [other] * 3) == [0, 6]
    assert cuts([one] * 3 + [black] * 3 + [one] * 3) == [0]
    assert cuts([black] * 3 + [one] * 3) == [0, 3]


@pytest.mark.parametrize("black", [0, 20, 22, 30])
def test_shots_go_on_from_their_memory(black):
    first, second = panned(Shots.MEMORY + 3, 1), panned(6, 1, seed=3)
    frames = film(first, [np.zeros_like(first[0])] * black, second, first[:4])
    shots = Shots()
    whole = [shots.next(frame) for frame in frames]
    for start in range(Shots.MEMORY, len(frames), 4):
        resumed = Shots()
        for frame in frames[start - Shots.MEMORY : start]:
            resumed.next(frame)
        assert [resumed.next(frame) for frame in frames[start : start + 12]] == whole[start : start + 12]


# --- how shimmer is measured


def test_a_known_pan_has_no_warping_error_and_a_shimmering_one_has_its_noise():
    wide = cv2.GaussianBlur(scene(0), (0, 0), 1.5)
    frames = [wide[20:180, 20 + 3 * t : 240 + 3 * t] for t in range(4)]
    back = np.zeros((160, 220, 2), np.float32)
    back[..., 0] = 3
    along = [warping.known_motion(back)] * 3
    assert warping.warping_error(frames, along) == 0
    rng = np.random.default_rng(0)
    noisy = [np.clip(frame / 2 + 60 + rng.normal(0, 8, frame.shape), 0, 255).astype(np.uint8) for frame in frames]
    assert warping.warping_error(noisy, along) == pytest.approx(2 * (8 / 255) ** 2, rel=0.05)


def test_motion_is_found_and_what_is_covered_is_left_out():
    wide = scene(0)
    frames = []
    for t in range(2):
        frame = wide[20:180, 20:240].copy()
        frame[50:110, 40 + 8 * t : 100 + 8 * t] = wide[160:220, 200:260]
        frames.append(frame)
    motion = warping.motions(frames)[0]
    inner = np.s_[60:100, 60:96]
    assert np.median(np.abs(motion.back[inner] - [-8, 0])) < 0.2
    assert np.median(np.abs(motion.back[130:150, 20:200])) < 0.05
    assert motion.seen[130:150, 20:200].mean() > 0.95
    assert motion.seen[55:105, 41:46].mean() < 0.4  # uncovered by what moved


def test_sharpness_is_a_ratio_of_amplitudes():
    frame = scene(2)
    soft = cv2.GaussianBlur(frame, (0, 0), 1.2)
    assert warping.sharpness_ratio([frame], [frame]) == pytest.approx(1)
    assert warping.edge_ratio([frame], [frame]) == pytest.approx(1)
    assert warping.sharpness_ratio([soft], [frame]) < 0.8
    half = (frame.astype(int) // 4 + 96).astype(np.uint8)
    assert warping.edge_ratio([half], [frame]) == pytest.approx(0.25, abs=0.02)


def test_no_two_frames_no_error():
    with pytest.raises(ValueError, match="no pixel is seen in two frames"):
        warping.warping_error([scene(0)], [])
