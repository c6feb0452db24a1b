"""The REST surface: which request does what. Knows nothing of sockets."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from tests.standins.bigquery.catalog import Catalog, Table
from tests.standins.bigquery.errors import Refused, denied, not_found
from tests.standins.bigquery.faults import Gates
from tests.standins.bigquery.isolation import Isolation
from tests.standins.bigquery.jobs import Job, Jobs, new_id
from tests.standins.bigquery.loads import Loader
from tests.standins.bigquery.objects import Objects
from tests.standins.bigquery.script import Outcome, Scripts
from tests.standins.bigquery.types import parameter, to_cell
from tests.standins.bigquery.uploads import Answer, Finish, Uploads

_LABEL = re.compile(r"[a-z0-9_-]{0,63}\Z")


@dataclass(frozen=True)
class Call:
    """A request, taken apart."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    base: str
    """``http://127.0.0.1:port``, for the addresses of uploads."""

    @property
    def json(self) -> dict[str, Any]:
        try:
            found = json.loads(self.body or b"{}")
        except ValueError:
            raise Refused("invalid", "Parse Error", status=400) from None
        return dict(found)


Handler = Callable[..., Answer]
_ROUTES: list[tuple[str, re.Pattern[str], str]] = []


def _route(method: str, pattern: str) -> Callable[[Handler], Handler]:
    regex = re.compile(re.sub(r"<(\w+)>", r"(?P<\1>[^/]+)", pattern) + r"\Z")

    def remember(handler: Handler) -> Handler:
        _ROUTES.append((method, regex, handler.__name__))
        return handler

    return remember


_P = "/bigquery/v2/projects/<project>"


class Service:
    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.catalog = Catalog(clock)
        self.isolation = Isolation(self.catalog)
        self.loader = Loader(self.catalog, self.isolation)
        self.scripts = Scripts(self.catalog, self.isolation, self.loader)
        self.jobs = Jobs()
        self.uploads = Uploads()
        self.objects = Objects()
        self.gates = Gates()
        self.withheld: set[str] = set()
        """Permissions that nobody has: ``bigquery.tables.create``."""

    def handle(self, call: Call) -> Answer:
        for method, pattern, name in _ROUTES:
            found = pattern.match(call.path)
            if found is not None and method == call.method:
                values = {k: unquote(v) for k, v in found.groupdict().items()}
                answer: Answer = getattr(self, name)(call, **values)
                return answer
        raise not_found("URL", call.path)

    def _allow(self, permission: str, what: str) -> None:
        if permission in self.withheld:
            raise denied(permission, what)

    def _allow_table(self, permission: str, table: Table) -> None:
        self._allow(permission, f"Table {table.full_name}")

    # Datasets and tables

    @_route("GET", f"{_P}/datasets/<dataset>")
    def get_dataset(self, call: Call, project: str, dataset: str) -> Answer:
        self._allow("bigquery.datasets.get", f"Dataset {project}:{dataset}")
        found = self.catalog.dataset(project, dataset)
        reference = {"projectId": project, "datasetId": dataset}
        return Answer(200, {
            "kind": "bigquery#dataset", "id": f"{project}:{dataset}",
            "datasetReference": reference, "location": found.location,
        })  # fmt: skip

    @_route("GET", f"{_P}/datasets/<dataset>/tables")
    def list_tables(self, call: Call, project: str, dataset: str) -> Answer:
        self._allow("bigquery.tables.list", f"Dataset {project}:{dataset}")
        found = [self.catalog.describe(t) for t in self.catalog.tables(project, dataset)]
        start = int(call.query.get("pageToken", 0))
        stop = start + int(call.query.get("maxResults", 50))
        short = ("kind", "id", "tableReference", "type", "labels", "creationTime", "expirationTime")
        answer: dict[str, Any] = {
            "kind": "bigquery#tableList",
            "tables": [{k: t[k] for k in short if k in t} for t in found[start:stop]],
            "totalItems": len(found),
        }
        if stop < len(found):
            answer["nextPageToken"] = str(stop)
        return Answer(200, answer)

    @_route("POST", f"{_P}/datasets/<dataset>/tables")
    def insert_table(self, call: Call, project: str, dataset: str) -> Answer:
        self._allow("bigquery.tables.create", f"Dataset {project}:{dataset}")
        made = self.catalog.create_table(project, dataset, call.json)
        return Answer(200, self.catalog.describe(made))

    @_route("GET", f"{_P}/datasets/<dataset>/tables/<table>")
    def get_table(self, call: Call, project: str, dataset: str, table: str) -> Answer:
        found = self.catalog.table(project, dataset, table)
        self._allow_table("bigquery.tables.get", found)
        return Answer(200, self.catalog.describe(found))

    @_route("PATCH", f"{_P}/datasets/<dataset>/tables/<table>")
    def patch_table(self, call: Call, project: str, dataset: str, table: str) -> Answer:
        found = self.catalog.table(project, dataset, table)
        self._allow_table("bigquery.tables.update", found)
        self.catalog.patch_table(found, call.json, call.headers.get("If-Match"))
        return Answer(200, self.catalog.describe(found))

    @_route("DELETE", f"{_P}/datasets/<dataset>/tables/<table>")
    def delete_table(self, call: Call, project: str, dataset: str, table: str) -> Answer:
        self._allow_table(
            "bigquery.tables.delete", self.catalog.table(project, dataset, table)
        )  # fmt: skip
        self.catalog.drop_table(project, dataset, table)
        return Answer(204)

    @_route("POST", f"{_P}/datasets/<dataset>/tables/<table>:testIamPermissions")
    def test_permissions(self, call: Call, project: str, dataset: str, table: str) -> Answer:
        self.catalog.table(project, dataset, table)
        asked = call.json["permissions"]
        return Answer(200, {"permissions": [p for p in asked if p not in self.withheld]})

    # Jobs

    @_route("POST", f"{_P}/jobs")
    def insert_job(self, call: Call, project: str) -> Answer:
        body = call.json
        if body.get("configuration", {}).get("dryRun"):
            return self._dry_run(project, body)
        return Answer(200, self._start(project, body, ()).as_begun)

    @_route("GET", f"{_P}/jobs/<job>")
    def get_job(self, call: Call, project: str, job: str) -> Answer:
        found = self.jobs.get(project, job, call.query.get("location"))
        return Answer(200, found.describe())

    @_route("POST", f"{_P}/jobs/<job>/cancel")
    def cancel_job(self, call: Call, project: str, job: str) -> Answer:
        found = self.jobs.get(project, job, call.query.get("location"))
        found.stop.set()
        return Answer(200, {"kind": "bigquery#jobCancelResponse", "job": found.describe()})

    @_route("POST", f"{_P}/queries")
    def query(self, call: Call, project: str) -> Answer:
        body = call.json
        query = {
            k: body[k] for k in ("query", "queryParameters", "defaultDataset", "useLegacySql")
            if k in body
        }  # fmt: skip
        configuration = {
            "query": query,
            "dryRun": body.get("dryRun", False),
            "labels": body.get("labels", {}),
        }
        job = {
            "configuration": configuration,
            "jobReference": {"jobId": new_id(), "location": body.get("location")},
        }
        if body.get("dryRun"):
            return self._dry_run(project, job)
        started = self._start(project, job, ())
        wait = int(body.get("timeoutMs", 10_000)) / 1000
        return Answer(200, started.results(wait=wait, start=0, most=body.get("maxResults")))

    @_route("GET", f"{_P}/queries/<job>")
    def query_results(self, call: Call, project: str, job: str) -> Answer:
        found = self.jobs.get(project, job, call.query.get("location"))
        most = call.query.get("maxResults")
        answer = found.results(
            wait=int(call.query.get("timeoutMs", 10_000)) / 1000,
            start=int(call.query.get("pageToken") or call.query.get("startIndex") or 0),
            most=None if most is None else int(most),
        )
        return Answer(200, answer)

    def _dry_run(self, project: str, body: dict[str, Any]) -> Answer:
        job = self._job(project, body)
        _, outcome = self._query(job, dry_run=True)
        job.statistics = {"query": {
            "statementType": "SELECT" if outcome is None else outcome.statement_type,
            "totalBytesProcessed": "0",
        }, "totalBytesProcessed": "0"}  # fmt: skip
        job.done.set()
        return Answer(200, job.describe())

    def _job(self, project: str, body: dict[str, Any]) -> Job:
        self._allow("bigquery.jobs.create", f"Project {project}")
        configuration = dict(body["configuration"])
        for key, value in configuration.get("labels", {}).items():
            if not (key and _LABEL.match(key) and _LABEL.match(value)):
                raise Refused("invalid", f"Invalid label: {key}={value}")
        kind = "load" if "load" in configuration else "query"
        configuration["jobType"] = kind.upper()
        reference = body.get("jobReference", {})
        location = reference.get("location") or self._location(configuration, project)
        return Job(project, reference.get("jobId") or new_id(), location, configuration)

    def _location(self, configuration: dict[str, Any], project: str) -> str:
        load = configuration.get("load")
        ref = (load or {}).get("destinationTable") or configuration.get("query", {}).get(
            "defaultDataset"
        )
        if ref is None:
            return "US"
        return self.catalog.dataset(ref.get("projectId", project), ref["datasetId"]).location

    def _start(self, project: str, body: dict[str, Any], files: tuple[bytes, ...]) -> Job:
        job = self._job(project, body)
        load = "load" in job.configuration
        return self.jobs.start(job, (lambda j: self._load(j, files)) if load else self._query)

    def _load(self, job: Job, files: tuple[bytes, ...]) -> tuple[dict[str, Any], None]:
        self.gates.pass_by(job.id, "LOAD")
        config = job.configuration["load"]
        ref = config["destinationTable"]
        self._allow("bigquery.tables.updateData", f"Table {ref['datasetId']}.{ref['tableId']}")
        uris = config.get("sourceUris")
        if uris:
            self._allow("storage.objects.get", f"Bucket of {uris[0]}")
            files = tuple(self.objects.read_uri(u) for u in uris)
        return {"load": self.loader.load(config, files)}, None

    def _query(self, job: Job, dry_run: bool = False) -> tuple[dict[str, Any], Outcome | None]:
        config = job.configuration["query"]
        if config.get("useLegacySql", True):
            raise Refused("invalidQuery", "Legacy SQL is not modelled by this stand-in")
        home = config.get("defaultDataset", {})
        outcome = self.scripts.run(
            config["query"],
            parameters={p["name"]: parameter(p) for p in config.get("queryParameters", [])},
            project=home.get("projectId", job.project),
            dataset=home.get("datasetId"),
            location=job.location,
            allow=self._allow_table,
            before=lambda text: None if dry_run else self.gates.pass_by(job.id, text),
            stopped=job.stop.is_set,
            dry_run=dry_run,
        )
        statistics = {"statementType": outcome.statement_type, "totalBytesProcessed": "0"}
        if outcome.affected is not None and outcome.statements == 1:
            statistics["numDmlAffectedRows"] = str(outcome.affected)
        children = outcome.statements if outcome.statement_type == "SCRIPT" else 0
        return {"query": statistics, "numChildJobs": str(children)}, outcome

    # Uploads

    @_route("POST", f"/upload{_P}/jobs")
    def upload_job(self, call: Call, project: str) -> Answer:
        def finish(body: dict[str, Any], content: bytes) -> dict[str, Any]:
            return self._start(project, body, (content,)).as_begun

        return self._upload(call, finish)

    def _upload(self, call: Call, finish: Finish) -> Answer:
        if call.query["uploadType"] == "multipart":
            return self.uploads.multipart(call.headers["Content-Type"], call.body, finish)
        query = "&".join(f"{k}={v}" for k, v in call.query.items())
        return self.uploads.begin(f"{call.base}{call.path}?{query}", call.body, finish)

    @_route("PUT", "/upload/.*")
    def upload_chunk(self, call: Call) -> Answer:
        return self.uploads.put(
            call.query["upload_id"], call.headers.get("Content-Range", ""), call.body
        )

    # Rows of a table, and Cloud Storage

    @_route("GET", f"{_P}/datasets/<dataset>/tables/<table>/data")
    def list_rows(self, call: Call, project: str, dataset: str, table: str) -> Answer:
        found = self.catalog.table(project, dataset, table)
        self._allow_table("bigquery.tables.getData", found)
        names = ", ".join(f'"{f["name"]}"' for f in found.fields)
        rows = self.catalog.cursor().execute(f'SELECT {names} FROM "{found.physical}"').fetchall()
        return Answer(200, {
            "kind": "bigquery#tableDataList",
            "totalRows": str(len(rows)),
            "rows": [{"f": [{"v": to_cell(v)} for v in row]} for row in rows],
        })  # fmt: skip

    @_route("POST", "/upload/storage/v1/b/<bucket>/o")
    def upload_object(self, call: Call, bucket: str) -> Answer:
        only_new = call.query.get("ifGenerationMatch") == "0"

        def finish(body: dict[str, Any], content: bytes) -> dict[str, Any]:
            name = body.get("name") or call.query["name"]
            return self.objects.put(bucket, name, content, only_new=only_new)

        self._allow("storage.objects.create", f"Bucket {bucket}")
        return self._upload(call, finish)

    @_route("GET", "/storage/v1/b/<bucket>/o")
    def list_objects(self, call: Call, bucket: str) -> Answer:
        self._allow("storage.objects.list", f"Bucket {bucket}")
        return Answer(200, self.objects.listing(bucket, call.query.get("prefix", "")))

    @_route("DELETE", "/storage/v1/b/<bucket>/o/<name>")
    def delete_object(self, call: Call, bucket: str, name: str) -> Answer:
        self._allow("storage.objects.delete", f"Bucket {bucket}")
        self.objects.delete(bucket, name)
        return Answer(204)
