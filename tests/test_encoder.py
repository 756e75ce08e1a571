import dataclasses
import importlib.util
import shutil
import sys
import warnings

import numpy as np
import pytest

from cqb import encoder as encoding
from cqb.encoder import (
    DamagedCacheWarning,
    Encoder,
    RepeatedVectorsWarning,
    cache_file,
    cache_key,
    encode_table,
)
from cqb.routing_table import RoutingTable

PROMPTS = ("one two", "three", "one two three four five", "six")


def table(prompts=PROMPTS):
    n = len(prompts)
    return RoutingTable(
        name="test table",
        stand_in=True,
        ids=tuple(f"row.{i}" for i in range(n)),
        prompts=prompts,
        families=("fam",) * n,
        models=("a", "b"),
        scores=np.zeros((n, 2)),
        costs=np.zeros((n, 2)),
        report={"rows_read": n},
    )


def fake(max_tokens=8, **changes):
    """An encoder whose tokens are words; it counts the texts it was asked for."""
    asked = []

    def tokenize(texts):
        return [[1, *(hash(word) for word in text.split()), 2] for text in texts]

    def embed(texts):
        asked.extend(texts)
        read = [" ".join(text.split()[: max_tokens - 2]) for text in texts]
        return np.array([[len(text), text.count("o") + 1, 3.0] for text in read])

    made = Encoder("fake", "weights-1", max_tokens, tokenize, embed)
    return dataclasses.replace(made, **changes), asked


def test_rows_have_unit_length_and_the_report_grows(tmp_path):
    made = encode_table(table(), tmp_path, fake()[0])
    assert made.embeddings.dtype == np.float64
    assert np.allclose(np.linalg.norm(made.embeddings, axis=1), 1, rtol=0, atol=1e-15)
    assert np.allclose(made.embeddings[3], np.array([3, 1, 3]) / np.sqrt(19))
    assert made.report == {
        "rows_read": 4,
        "encoder": "fake",
        "max_tokens": 8,
        "truncated_prompts": 0,
        "truncated_share": 0.0,
        "distinct_vectors": 4,
    }


def test_the_cache_answers_without_the_encoder(tmp_path):
    first = encode_table(table(), tmp_path, fake()[0])
    encoder, asked = fake(embed=None, tokenize=None)
    again = encode_table(table(), tmp_path, encoder)
    assert asked == []
    assert again.data_hash() == first.data_hash()
    assert again.report == first.report


@pytest.mark.parametrize(
    ("prompts", "changes"),
    [
        ((*PROMPTS[:3], "eleven"), {}),
        (PROMPTS[::-1], {}),
        (PROMPTS, {"fingerprint": "weights-2"}),
        (PROMPTS, {"max_tokens": 9}),
    ],
)
def test_other_content_is_encoded_again(tmp_path, prompts, changes):
    encode_table(table(), tmp_path, fake()[0])
    encoder, asked = fake(**changes)
    encode_table(table(prompts), tmp_path, encoder)
    assert len(asked) == 4
    assert len(list(tmp_path.iterdir())) == 2


def test_keys_do_not_run_texts_together():
    assert cache_key(["ab", "c"], fake()[0]) != cache_key(["a", "bc"], fake()[0])


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "text", "swap"])
def test_a_damaged_cache_file_is_named_and_made_again(tmp_path, damage):
    first = encode_table(table(), tmp_path, fake()[0])
    path = cache_file(tmp_path, cache_key(PROMPTS, fake()[0]))
    content = bytearray(path.read_bytes())
    if damage == "flip":  # one bit of a number, where the archive's own checksum may not look
        content[content.index(np.float32(3.0).tobytes()) + 1] ^= 4
    elif damage == "swap":  # a whole file, but of other texts
        encode_table(table(PROMPTS[::-1]), tmp_path, fake()[0])
        other = cache_file(tmp_path, cache_key(PROMPTS[::-1], fake()[0]))
        content = other.read_bytes()
    else:
        content = {"truncate": content[:-20], "empty": b"", "text": b"not an archive"}[damage]
    path.write_bytes(content)
    encoder, asked = fake()
    with pytest.warns(DamagedCacheWarning, match=path.name):
        again = encode_table(table(), tmp_path, encoder)
    assert len(asked) == 4
    assert again.data_hash() == first.data_hash()
    encode_table(table(), tmp_path, fake(embed=None, tokenize=None)[0])  # sound again


def test_truncation_is_counted_and_repeats_are_warned_of(tmp_path):
    prompts = ("a b c d e", "a b c x", "a b", "a b c")
    encoder, asked = fake(max_tokens=5)
    with pytest.warns(RepeatedVectorsWarning, match=r"4 prompts have 2 distinct .*\(2 prompts are"):
        made = encode_table(table(prompts), tmp_path, encoder)
    assert made.report["truncated_prompts"] == 2
    assert made.report["truncated_share"] == 0.5
    assert made.report["distinct_vectors"] == 2
    # What the model reads decides: "a b c" is all that it reads of the first two.
    assert asked == ["a b c d e", "a b"]
    assert np.array_equal(made.embeddings[0], made.embeddings[3])


def test_distinct_vectors_raise_no_warning(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encode_table(table(), tmp_path, fake()[0])


@pytest.mark.parametrize("bad", [0.0, np.nan])
def test_a_vector_without_direction_is_an_error_that_names_the_row(tmp_path, bad):
    vectors = np.ones((4, 3))
    vectors[2] = bad
    encoder, _ = fake(embed=lambda texts: vectors)
    with pytest.raises(ValueError, match=r"embedding of row 2 \('row.2'\) has norm nan"):
        encode_table(table(), tmp_path, encoder)


def test_an_unwritable_cache_folder_is_named(tmp_path):
    (tmp_path / "blocked").write_text("a file")
    with pytest.raises(OSError, match=r"the folder .*blocked"):
        encode_table(table(), tmp_path / "blocked", fake()[0])


def test_the_missing_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ImportError, match=r'pip install "cqb\[encode\]"'):
        encode_table(table(), tmp_path)


def test_missing_weights_say_where_they_were_looked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("CQB_DATA", str(tmp_path))
    monkeypatch.delenv("CQB_ENCODER_DIR", raising=False)
    monkeypatch.setattr(encoding, "PACKAGE", "no_such_package_of_weights")
    with pytest.raises(FileNotFoundError, match="no weights of all-MiniLM-L6-v2") as caught:
        encoding.weights_folder()
    assert str(tmp_path) in str(caught.value)
    assert "cqb.datasets.download all-MiniLM-L6-v2" in str(caught.value)


def test_other_weights_are_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.setenv("CQB_ENCODER_DIR", str(tmp_path))
    with pytest.raises(
        ValueError, match=r"model.safetensors: not the pinned .*: its sha256 is missing"
    ):
        encoding.weights_folder()
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(
        ValueError, match=r"model.safetensors: not the pinned .*: its sha256 is [0-9a-f]{64}, "
    ):
        encoding.weights_folder()


needs_encoder = pytest.mark.skipif(
    importlib.util.find_spec("sentence_transformers") is None
    or importlib.util.find_spec(encoding.PACKAGE) is None,
    reason="the extra `encode` is not installed",
)


@needs_encoder
def test_weights_of_the_package_are_the_pinned_ones(tmp_path, monkeypatch):
    monkeypatch.delenv("CQB_ENCODER_DIR", raising=False)
    folder = encoding.weights_folder()
    assert folder.parent.name == encoding.PACKAGE
    copied = shutil.copytree(folder, tmp_path / "model")
    (copied / "modules.json").write_text("[]")
    monkeypatch.setenv("CQB_ENCODER_DIR", str(copied))
    with pytest.raises(ValueError, match=r"modules.json: not the pinned"):
        encoding.weights_folder()


@needs_encoder
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_minilm_knows_what_is_alike_and_shares_vectors_of_equal_windows(tmp_path):
    preamble = "An example of a question and its answer. " * 40
    prompts = (
        "The cat sat on the mat.",
        "A kitten rested on a rug.",
        "Write a function that sorts a list.",
        preamble + "Which is larger?",
        preamble + "Who wrote it?",
    )
    with pytest.warns(RepeatedVectorsWarning, match="5 prompts have 4 distinct vectors"):
        made = encode_table(table(prompts), tmp_path)
    assert made.embeddings.shape == (5, 384)
    alike = made.embeddings @ made.embeddings.T
    assert alike[0, 1] > 0.5 > 0.3 > alike[0, 2]
    assert made.report["truncated_prompts"] == 2
