"""Spool, results, evidence packs, checkpoints and settlement files on a real S3 server: moto's."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
import requests
from airflow.sdk import ObjectStoragePath
from airflow.sdk.io import store as attached

from sat_hook.application.settings import read_settings
from sat_hook.audit.errors import PublicationError
from sat_hook.cli.log import published_at
from sat_hook.hooks.audit import checkpoint_publication
from sat_hook.hooks.spool import ObjectStorageSpool, exports_folder, keep_export, spool_at
from sat_hook.reconciliation.settlement_intake import seen_from_outside
from sat_hook.store.errors import SpoolError, SpoolFileGoneError
from sat_hook.store.spool import AnySpool, NamedSpool
from stack.postgres import free_port
from tests.pipeline import Line

moto_server = pytest.importorskip("moto.server", reason="moto, of requirements-dev.txt, is not installed")
boto3 = pytest.importorskip("boto3", reason="boto3, of requirements-dev.txt, is not installed")
pytest.importorskip("s3fs", reason="s3fs, of requirements-dev.txt, is not installed")
_buckets = count()


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of an S3 server, which the environment names as an operator's would."""
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=free_port(), verbose=False)
    server.start()
    url = f"http://127.0.0.1:{server._server.server_port}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attached, "_STORE_CACHE", {})
        for name, value in {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "very-secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            patch.setenv(name, value)
        yield url
    server.stop()


@pytest.fixture
def bucket(s3: str) -> str:
    """A bucket of its own for each test."""
    name = f"bucket-{next(_buckets)}"
    requests.put(f"{s3}/{name}", timeout=30).raise_for_status()
    return name


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URI of a spool of each kind."""
    if request.param == "folder":
        return tmp_path.as_uri()
    return f"s3://{request.getfixturevalue('bucket')}/spool"


@pytest.fixture
def spool(place: str) -> NamedSpool:
    """A spool of each kind."""
    return spool_at(place)


def read(spool: NamedSpool, uri: str) -> bytes:
    with spool.open(uri) as file:
        return file.read()


def test_what_was_written_is_read_by_its_address(spool: NamedSpool) -> None:
    """By the spool and by an audit that only knows the address; writing again replaces all of it."""
    uri = spool.write("batches/B1/a.csv", b"order_id\n" * 1000)
    assert uri == spool.uri_of("batches/B1/a.csv")
    assert spool.write("batches/B1/a.csv", b"short") == uri
    assert read(spool, uri) == b"short"
    with AnySpool().open(uri) as file:
        assert file.read() == b"short"


def test_a_file_that_is_gone_is_told_from_a_place_that_is_gone(place: str, spool: NamedSpool) -> None:
    """A wrong bucket or an unmounted folder does not mean that a file is lost."""
    spool.write("batches/B1/a.csv", b"there")
    with pytest.raises(SpoolFileGoneError):
        spool.open(spool.uri_of("batches/B1/b.csv"))
    nowhere = spool_at(place.replace("bucket", "no-bucket") if place.startswith("s3") else f"{place}/no")
    with pytest.raises(SpoolError) as caught:
        nowhere.open(nowhere.uri_of("batches/B1/a.csv"))
    assert not isinstance(caught.value, SpoolFileGoneError)


def test_what_another_machine_wrote_is_there_at_once(bucket: str) -> None:
    """Also where a question before found nothing: no answer of the store is kept."""
    spool = ObjectStorageSpool(f"s3://{bucket}")
    uri = spool.uri_of("a.csv")
    with pytest.raises(SpoolFileGoneError):
        spool.open(uri)
    elsewhere = boto3.client("s3")
    elsewhere.put_object(Bucket=bucket, Key="a.csv", Body=b"there")
    assert read(spool, uri) == b"there"
    elsewhere.put_object(Bucket=bucket, Key="a.csv", Body=b"there again")
    assert read(spool, uri) == b"there again"


def test_names_stay_in_the_spool(spool: NamedSpool, place: str) -> None:
    """Neither a name nor an address leads to other files of the same bucket or disk."""
    with pytest.raises(SpoolError):
        spool.write("../outside.csv", b"")
    for outside in (f"{place}/../outside.csv", "s3://other/spool/a.csv", "file:///etc/hostname"):
        with pytest.raises(SpoolError):
            spool.open(outside)


def test_a_store_that_cannot_be_used_is_an_error_of_the_spool(
    s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own classes of errors never reach a task, and no text has a secret."""
    missing = ObjectStorageSpool("s3://no-such-bucket/spool")
    with pytest.raises(SpoolError, match="s3://no-such-bucket/spool/a cannot be written"):
        missing.write("a", b"x")
    monkeypatch.setattr(attached, "_STORE_CACHE", {})
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    away = ObjectStorageSpool("s3://sat/spool")
    for use in (lambda: away.write("a", b"x"), lambda: away.open("s3://sat/spool/a")):
        with pytest.raises(SpoolError) as caught:
            use()
        assert not isinstance(caught.value, SpoolFileGoneError)
        assert "very-secret" not in str(caught.value)


def test_a_checkpoint_is_never_replaced(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store itself refuses, so that two publishers at once cannot replace each other's."""
    monkeypatch.setenv("SAT_CHECKPOINTS_URI", f"s3://{bucket}/checkpoints")
    publication = checkpoint_publication(read_settings())
    assert publication.read("1.json") is None
    publication.write("1.json", b"one")
    with pytest.raises(PublicationError, match="there already"):
        publication.write("1.json", b"two")
    reader = published_at(f"s3://{bucket}/checkpoints")
    assert reader is not None
    assert reader.read("1.json") == b"one"


def test_an_evidence_pack_is_stored_without_a_shared_folder(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made on the worker's own disk, and downloaded from the store."""
    monkeypatch.setenv("SAT_RESULTS_URI", f"s3://{bucket}/results")
    settings = read_settings()
    assert exports_folder(settings) is None
    pack = tmp_path / "pack.zip"
    pack.write_bytes(b"PK" * 100_000)
    uri = keep_export(settings, pack)
    assert uri == f"s3://{bucket}/results/exports/pack.zip"
    assert read(spool_at(settings.results_uri), uri) == pack.read_bytes()


def test_settlement_files_are_seen_from_outside(bucket: str) -> None:
    """The intake lists them, and knows their size and time, as in a folder."""
    spool_at(f"s3://{bucket}/settlements").write("demo/2026-11-22.csv", b"a,b\n")
    (file,) = (ObjectStoragePath(f"s3://{bucket}/settlements") / "demo").iterdir()
    size, changed_at = seen_from_outside(file)
    assert (file.name, size, file.read_bytes()) == ("2026-11-22.csv", 4, b"a,b\n")
    assert changed_at is not None


def test_a_batch_is_paid_from_one_bucket(line: Line, bucket: str) -> None:
    """From the submitted bytes to the result file."""
    line.spool = ObjectStorageSpool(f"s3://{bucket}/spool")
    rows = "".join(f"o-{row},25k-xl,0817{row:08d}\n" for row in range(3))
    batch_id = line.run(f"order_id,product_code,client_number\n{rows}".encode())
    _, results = line.finish(batch_id)
    assert results.uri.startswith(f"s3://{bucket}/spool/")
    assert read(line.spool, results.uri).decode("utf-8-sig").count("succeeded") == 3
