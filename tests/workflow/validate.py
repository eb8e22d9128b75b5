"""roc-validator with its two JSON-LD contexts from this machine; run by the Python of an environment of envs/crate.txt.

The context of RO-Crate 1.1 (CC0) is the one that the package rocrate ships. Of the Workflow Run terms the crate uses
one, and its definition is written down here. Whatever else the validator asks the network for is refused.
"""

import io
import json
from importlib.resources import files

import requests
from requests.adapters import HTTPAdapter
from rocrate_validator.cli.main import cli
from urllib3 import HTTPResponse

RUN_TERMS = {"@context": {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"}}
CONTEXTS = {
    "https://w3id.org/ro/crate/1.1/context": files("rocrate").joinpath("data/ro-crate.jsonld").read_bytes(),
    "https://w3id.org/ro/terms/workflow-run/context": json.dumps(RUN_TERMS).encode(),
}


def answer(self: HTTPAdapter, request: requests.PreparedRequest, **_) -> requests.Response:
    """Send a context instead of a request."""
    if request.url not in CONTEXTS:
        raise requests.ConnectionError(f"{request.url}: only the two contexts are answered")
    headers = {"Content-Type": "application/ld+json"}
    return self.build_response(
        request, HTTPResponse(io.BytesIO(CONTEXTS[request.url]), headers, 200, preload_content=False)
    )


HTTPAdapter.send = answer
cli()
