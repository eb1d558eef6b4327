"""The paths of files and batches, with their parameters and answers."""

from typing import Any

from scripts.schemas.operation import idempotency_key, operation, path, query
from turnstream.ws_server import requests
from turnstream.ws_server.batches import bodies as batches

Json = dict[str, Any]


def batch_paths() -> Json:
    file_id, batch_id = path("id", "Id of a file."), path("id", "Id of a batch.")
    after = query("after", {"type": "string"}, "Id of the last entry of the previous page.")
    return {
        "/v1/files": {
            "post": operation(
                "create_file",
                "Upload a file of requests.",
                batches.FileBody,
                form=requests.FileForm,
                wrong=(400, 413),
                leads_to=("get_file", "get_file_content", "delete_file"),
            ),
            "get": operation(
                "list_files",
                "List the owner's files.",
                batches.FileList,
                parameters=[
                    query("purpose", {"type": "string"}, "Only files of this purpose."),
                    query("limit", {"type": "integer", "minimum": 1, "maximum": 10_000}, "10000"),
                    query("order", {"enum": ["asc", "desc"]}, "Latest first is desc, the default."),
                    after,
                ],
                wrong=(400,),
            ),
        },
        "/v1/files/{id}": {
            "get": operation(
                "get_file",
                "Get a file.",
                batches.FileBody,
                parameters=[file_id],
                wrong=(404,),
            ),
            "delete": operation(
                "delete_file",
                "Delete a file.",
                batches.FileDeleted,
                parameters=[file_id],
                wrong=(404,),
            ),
        },
        "/v1/files/{id}/content": {
            "get": operation(
                "get_file_content",
                "Get the content of a file.",
                None,
                parameters=[file_id],
                wrong=(404,),
            )
        },
        "/v1/batches": {
            "post": operation(
                "create_batch",
                "Create a batch of a file's requests.",
                batches.BatchBody,
                body=requests.BatchRequest,
                parameters=[idempotency_key()],
                wrong=(400, 404),
                leads_to=("get_batch", "cancel_batch"),
            ),
            "get": operation(
                "list_batches",
                "List the owner's batches, newest first.",
                batches.BatchList,
                parameters=[
                    query("limit", {"type": "integer", "minimum": 1, "maximum": 100}, "20"),
                    after,
                ],
                wrong=(400,),
            ),
        },
        "/v1/batches/{id}": {
            "get": operation(
                "get_batch",
                "Get a batch.",
                batches.BatchBody,
                parameters=[batch_id],
                wrong=(404,),
            )
        },
        "/v1/batches/{id}/cancel": {
            "post": operation(
                "cancel_batch",
                "Cancel a batch; finished requests keep their results.",
                batches.BatchBody,
                parameters=[batch_id],
                wrong=(400, 404),
            )
        },
    }
