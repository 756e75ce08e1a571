"""Recorded requests, as their files are laid out, and what is refused."""

import pytest

import cqb.datasets
from cqb.datasets.traces import MalformedTrace, read

AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.6805900,374,44
2023-11-16 18:15:50.9951690,396,109
2023-11-16 18:15:51.2225670,879,55
2023-11-16 18:16:51.2225671,91,16
"""
BURSTGPT = """Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,ChatGPT,472,18,490,Conversation log
45,ChatGPT,1087,230,1317,Conversation log
45,GPT-4,417,276,693,Conversation log
118,ChatGPT,0,0,0,API log
185.5,ChatGPT,1360,647,2007,Conversation log
"""


def written(tmp_path, text: str, name: str = "trace.csv"):
    path = tmp_path / name
    path.write_text(text, "utf-8")
    return path


def test_azure_is_read_as_published(tmp_path):
    trace = read(written(tmp_path, AZURE))
    assert trace.times == pytest.approx([0.0, 4.314579, 4.541977, 64.5419771], abs=1e-9)
    assert trace.prompts.tolist() == [374, 396, 879, 91]
    assert trace.lengths.tolist() == [44, 109, 55, 16]


def test_burstgpt_is_read_as_published(tmp_path):
    """Failed requests are left out; ties stay, and further columns do no harm."""
    trace = read(written(tmp_path, BURSTGPT))
    assert trace.times.tolist() == [0.0, 40.0, 40.0, 180.5]
    assert trace.lengths.tolist() == [18, 230, 276, 647]
    more = "Session ID,Elapsed time," + BURSTGPT.replace("\n", "\n7,1.5,").rstrip("7,1.5")
    assert read(written(tmp_path, more)).times.tolist() == [
        0,
        40,
        40,
        180.5,
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "trace.csv: found no header"),
        (AZURE.splitlines()[0] + "\n", "found no requests below the header"),
        (AZURE.replace("ContextTokens", "Context"), "found no column ContextTokens among"),
        (AZURE.replace(",109", ",0"), "line 3, column GeneratedTokens: found '0', expected whole"),
        (AZURE.replace(",374,", ",-4,"), "line 2, column ContextTokens: found '-4'"),
        (AZURE.replace(",374,", ",3.5,"), "line 2, column ContextTokens: found '3.5'"),
        (AZURE.replace(",374,", ",,"), "line 2, column ContextTokens: found '', expected a number"),
        (AZURE.replace(",16\n", ",many\n"), "line 5, column GeneratedTokens: found 'many'"),
        (
            AZURE.replace("18:16:51", "18:15:47"),
            "line 5, column TIMESTAMP: .* expected times in order",
        ),
        (
            AZURE.replace("2023-11-16 18:16:51.2225671", "noon"),
            "line 5, column TIMESTAMP: found 'noon'",
        ),
    ],
)
def test_a_malformed_trace_is_refused_by_line_and_column(tmp_path, text, words):
    with pytest.raises(MalformedTrace, match=words):
        read(written(tmp_path, text))


def test_a_trace_of_failures_only_is_refused(tmp_path):
    text = "\n".join([BURSTGPT.splitlines()[0], "5,ChatGPT,9,0,9,API log"])
    with pytest.raises(MalformedTrace, match="failed requests only"):
        read(written(tmp_path, text))
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.csv")


def test_the_published_file_and_a_copy_in_seconds_are_the_same_trace(tmp_path):
    seconds = "0.000000,374,44\n4.314579,396,109\n4.541977,879,55\n64.541977,91,16\n"
    copy = tmp_path / "copy"
    copy.mkdir()
    plain = written(copy, "arrived_at_s,context_tokens,generated_tokens\n" + seconds, "other.csv")
    published = AZURE.replace("51.2225671", "51.2225670")
    assert read(plain).data_hash() == read(written(tmp_path, published)).data_hash()


def test_a_plain_file_is_read_by_name_and_hashed(tmp_path):
    text = "arrived_at_s,context_tokens,generated_tokens\n3.5,10,2\n3.5,11,3\n9,12,4\n"
    written(tmp_path, text)
    trace = cqb.datasets.load("azure", tmp_path)
    assert trace.times.tolist() == [0.0, 0.0, 5.5]
    assert trace.prompts.tolist() == [10, 11, 12]
    assert trace.data_hash() == cqb.datasets.load("azure", tmp_path / "trace.csv").data_hash()
    written(tmp_path, text.replace("11", "12"))
    assert trace.data_hash() != cqb.datasets.load("azure", tmp_path).data_hash()
    with pytest.raises(FileNotFoundError, match=r"no .csv file of the trace azure.*CQB_AZURE_DIR"):
        cqb.datasets.load("azure", tmp_path / "absent")
