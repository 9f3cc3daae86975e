"""The recipe of voices and its spectrograms, on tones that stand in for speech."""

import hashlib
import json

import numpy as np
import pytest

import meta_tf
from benchmarks.data import debian, voices
from benchmarks.data.spectrogram import (
    BANDS,
    COLUMNS,
    RATE,
    at_rate,
    band_edges,
    mel_powers,
    pictures,
)
from benchmarks.voices import by_voice, summaries


def _tone(hertz, seconds=0.9, rate=RATE):
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


@pytest.fixture
def sound_files(tmp_path):
    """Writes tones to WAV files below a folder of recordings."""
    soundfile = pytest.importorskip("soundfile")

    def write(names, folder="asterisk/sounds/nobody"):
        for number, name in enumerate(names):
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, _tone(300 + 20 * number), RATE)
        return voices.Voice("nobody", [folder])

    return write


@pytest.mark.parametrize("band", [1, 10, 20, 38])
def test_a_tone_is_loudest_in_the_band_that_peaks_there(band):
    tone = _tone(band_edges()[band + 1])
    assert mel_powers(tone).mean(0).argmax() == band
    (picture,) = pictures(tone)
    assert picture.mean(1).argmax() == BANDS - 1 - band  # low tones at the bottom


def test_bands_are_equally_far_apart_in_mel():
    edges = band_edges()
    np.testing.assert_allclose(edges[[0, -1]], [100, 3600])
    np.testing.assert_allclose(np.diff(np.log10(1 + edges / 700), 2), 0, atol=1e-12)


@pytest.mark.parametrize("silence", [np.zeros(RATE), np.full(RATE, 0.001), np.zeros(0)])
def test_a_silent_clip_gives_no_picture(silence):
    assert pictures(silence) == []


def test_silence_around_a_sound_does_not_show():
    silence = np.zeros(RATE)
    (alone,), (within,) = (
        pictures(x) for x in (_tone(440), np.concatenate([silence, _tone(440), silence]))
    )
    # At its ends a window holds less of it.
    np.testing.assert_allclose(alone[:, 2:-2].mean(1), within[:, 2:-2].mean(1), atol=2)


def test_a_short_sound_is_repeated_and_a_long_one_cut():
    assert pictures(_tone(440, seconds=0.1)) == []
    for seconds, expected in ((0.3, 1), (0.9, 1), (1.4, 2), (2.5, 3)):
        found = pictures(_tone(440, seconds))
        assert [p.shape for p in found] == [(BANDS, COLUMNS)] * expected


def test_loudness_does_not_show():
    np.testing.assert_array_equal(*(pictures(x)[0] for x in (_tone(440), 0.1 * _tone(440))))


def test_a_centred_picture_of_a_steady_tone_is_grey():
    (picture,) = pictures(_tone(440), centred=True)
    np.testing.assert_allclose(picture, 127.5, atol=5)


def test_tones_above_the_new_rate_vanish_and_a_faster_voice_is_higher():
    pytest.importorskip("scipy")
    both = _tone(1000, rate=44100) + _tone(5000, rate=44100)  # 5 kHz would alias to 3 kHz
    samples = at_rate(np.stack([both, both], 1), 44100)
    assert len(samples) == round(0.9 * RATE)
    inner = samples[200:-200]
    np.testing.assert_allclose(inner, _tone(1000)[200:-200], atol=0.01)
    faster = mel_powers(at_rate(_tone(1000), RATE, speed=1.2)).mean(0)
    assert faster.argmax() == mel_powers(_tone(1200)).mean(0).argmax()


def test_another_package_is_refused_in_one_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "klettres-data_1.deb").write_bytes(b"other")
    words = ["voices", f"--debs={tmp_path}", f"--output={tmp_path / 'out'}"]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as stopped:
        voices.main()
    told = capsys.readouterr().err
    assert stopped.value.code == 1
    assert told.count("\n") == 1
    assert "klettres-data_1.deb must have SHA-256" in told
    assert hashlib.sha256(b"other").hexdigest() in told


def test_a_folder_without_the_package_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"--debs must be a folder with here_\*\.deb\. Received"):
        debian.unpack("here", "0" * 64, str(tmp_path), debs=str(tmp_path))


def test_tones_and_silence_among_the_prompts_are_no_speech(sound_files, tmp_path):
    speech = ["hello.wav", "digits/1.wav", "confbridge-leave-in.wav", "at-tone-time-exactly.wav"]
    noise = ["beep.wav", "beeperr.wav", "silence/1.wav", "tt-monkeys.wav", "confbridge-leave.wav"]
    voice = sound_files(speech + noise)
    found = voices.recordings(voice, tmp_path)
    inside = tmp_path / voice.folders[0]
    assert sorted(f.relative_to(inside).as_posix() for f in found) == sorted(speech)


def test_training_has_voices_at_other_speeds_and_too_few_clips_are_refused(sound_files, tmp_path):
    pytest.importorskip("scipy")
    pytest.importorskip("PIL")
    voice = sound_files([f"{number}.wav" for number in range(voices.LEAST)])
    for part in ("train", "test"):
        voices.write(voice, tmp_path, tmp_path / part)
    names = {f.name for f in (tmp_path / "train").iterdir()}
    assert names == {"nobody", *(f"nobody--{speed}" for speed in voices.SPEEDS)}
    assert [f.name for f in (tmp_path / "test").iterdir()] == ["nobody"]
    assert len(list((tmp_path / "test/nobody").iterdir())) == voices.LEAST
    few = sound_files(["1.wav", "2.wav"], folder="few")
    with pytest.raises(ValueError, match=r"must have 16 clips or more\. Received: 2\."):
        voices.write(few, tmp_path, tmp_path / "test")


def test_languages_are_divided_by_their_names():
    told = json.loads(voices.SPLIT.read_text(encoding="utf-8"))
    # Voices that share a language, or may be one person, by the first name of each group.
    together = {
        "en": ["en", "en_GB", "es", "allison"],
        "fr": ["fr", "june"],
        "it": ["it", "carlo"],
        "de": ["de_letters", "de_syllables"],
        "ru": ["ru", "uk", "ivrvoice"],
    }
    grouped = {name for group in together.values() for name in group}
    groups = together | {v.name: [v.name] for v in voices.VOICES if v.name not in grouped}
    expected = {"train": groups.pop("ru"), "valid": [], "test": []}
    for name in sorted(groups, key=lambda name: hashlib.sha256(name.encode()).digest()):
        if len(expected["test"]) < 7:
            part = "test"
        else:
            part = "valid" if len(expected["valid"]) < 5 else "train"
        expected[part] += groups[name]
    assert {part: sorted(names) for part, names in expected.items()} == told


def test_summaries_are_means_and_deviations_of_bands():
    x = np.zeros([1, 2, 4, 1])
    x[0, 1, :, 0] = [0, 2, 0, 2]
    np.testing.assert_allclose(summaries(x), [[0, 1, 0, 1]])


def test_each_voice_has_its_own_share():
    labels = np.repeat(np.arange(20), 6)
    x = labels[:, np.newaxis].astype(np.float32)
    part = meta_tf.tasks.from_arrays(x, labels, ways=2, shots=1, queries=2).test
    right = by_voice(part, lambda x: np.zeros(4, int), tasks=30)
    # Always the first of two: right for the half that it is drawn first.
    assert set(right) <= set(part.classes)
    assert 0.3 < np.mean(list(right.values())) < 0.7
