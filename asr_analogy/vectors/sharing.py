"""Sharing: a stored vector as a model repository of the Hugging Face Hub. The only place of this room that may go online."""

import os
import shutil
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled

from asr_analogy.errors import DataError, MissingError
from asr_analogy.vectors.store import FILES, RECORD, Store, StoredVector, read

TROUBLES = (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError)
"""What the Hub's library raises when it is offline, or the repository is not there or not ours."""


def push(store: Store, name: str, repository: str, public: bool = False) -> str:
    """Upload a vector (weights, record, card) and return its address; the repository is made, private unless `public`.

    The vector is checked first, and stays in the store. Raises MissingError in one line if the Hub cannot be reached or
    refuses.
    """
    folder = store.open(name).folder
    try:
        api = HfApi()
        api.create_repo(repository, repo_type="model", private=not public, exist_ok=True)
        api.upload_folder(
            repo_id=repository, folder_path=folder, allow_patterns=list(FILES), commit_message=f"Vector {name}"
        )
    except TROUBLES as error:
        raise MissingError(
            f"{repository}: cannot push there ({_why(error)}); go online, log in with `hf auth login`, and check the name"
        ) from error
    return f"https://huggingface.co/{repository}"


def pull(
    store: Store, repository: str, name: str | None = None, revision: str | None = None, force: bool = False
) -> StoredVector:
    """Fetch a vector from the Hub into the store, as `name` (default: the repository's last word).

    Only the files of a vector are fetched. It is copied and checked out of sight, and appears when its record and hash
    agree. Raises MissingError if the Hub cannot be reached or the repository holds no vector, DataError if it is damaged.
    """
    name = name or repository.rpartition("/")[2]
    store.path(name)
    try:
        found = Path(snapshot_download(repository, revision=revision, allow_patterns=list(FILES)))
    except TROUBLES as error:
        raise MissingError(
            f"{repository}: cannot be pulled ({_why(error)}); go online, and check the name and the revision"
        ) from error
    if not (found / RECORD).is_file():
        raise MissingError(f"{repository}: holds no vector ({RECORD} is missing); is it a model?")
    inputs = {"repository": repository, "revision": found.name}
    with store.writing(name, inputs, force) as out:
        if out is not None:
            _copy(found, out)
            read(out)
    return store.open(name)


def _copy(found: Path, out: Path) -> None:
    """The files of a vector, as plain files: the Hub's cache holds links."""
    for file in FILES:
        if not (found / file).is_file():
            raise DataError(f"{found.name}: {file} is missing; pull another revision")
        with (found / file).open("rb") as source, (out / file).open("wb") as target:
            shutil.copyfileobj(source, target)
            target.flush()
            os.fsync(target.fileno())


def _why(error: Exception) -> str:
    """The kind of trouble, without addresses or tokens."""
    if isinstance(error, OfflineModeIsEnabled | LocalEntryNotFoundError):
        return "offline"
    return type(error).__name__
